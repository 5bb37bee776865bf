"""Names that a request may give to its job, and notes."""

from typing import Any

import orjson
import pytest

from dspy_service_core.contract.request import RunOptions, parse_run_request
from dspy_service_core.errors import InvalidRequest
from run_requests import run_request

UUID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"


def options(**given: Any) -> RunOptions:
    return parse_run_request(orjson.dumps(run_request(run_options=given))).run_options


@pytest.mark.parametrize(
    "name",
    ["a", "7", "42", "tickets", "tickets-2026.12.02", "2026-12-02", "cafe-1", "x" * 63, "caf", "job-1", "deadbeefs"],
)
def test_a_name(name: str) -> None:
    assert options(name=name).name == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "job_name") for name in ("", "A", "a b", "a_b", "-a", "a-", "a/b", ".", "..", "é", "a\n", "x" * 64)),
        *((name, "job_name") for name in (UUID, f"job-{UUID}", UUID[:20], "cafe", "20261202", "20261202-1")),
        (7, "string_type"),
        (["a"], "string_type"),
    ],
)
def test_what_is_no_name_is_refused_by_its_field(name: Any, kind: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        options(name=name)
    ((problem),) = refused.value.problems
    assert (problem.field, problem.type) == ("run_options.name", kind)


def test_what_reads_as_an_id_gets_a_name_that_does_not() -> None:
    with pytest.raises(InvalidRequest, match="put a word before it, as in 'run-20261202'"):
        options(name="20261202")
    assert options(name="run-20261202").name == "run-20261202"


def test_notes() -> None:
    assert options(note="after the new rows").note == "after the new rows"
    assert (options(note=None).note, options(name=None).name) == (None, None)
    for wrong in ("a\x1b[2J", "a\nb", "x" * 1025, 7):
        with pytest.raises(InvalidRequest, match=r"run_options\.note"):
            options(note=wrong)
