"""What is accepted on the event loop, and what beside it."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import api_service
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.code.source_text import QUICK_CHARACTERS
from dspy_service_core.registry.registry import Registry
from run_requests import METRIC, PROGRAM, SIGNATURE, program_request, run_request


@dataclass
class Draws:
    """A seed is drawn once a request has been checked, where it was checked."""

    threads: list[threading.Thread] = field(default_factory=list)

    def __call__(self) -> int:
        self.threads.append(threading.current_thread())
        return 7


NOTHING_EARLIER: Any = None
"""For requests that take nothing from earlier jobs."""
LONG = "#" * QUICK_CHARACTERS + "\n"
CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "an ordinary request": ({}, True),
    "a long signature": ({"signature_code": LONG + SIGNATURE}, False),
    "a long metric": ({"metric_code": LONG + METRIC}, False),
}


@pytest.mark.parametrize(("changes", "on_the_loop"), CASES.values(), ids=CASES)
async def test_long_sources_are_read_beside_the_loop(changes: dict[str, Any], on_the_loop: bool) -> None:
    draws = Draws()
    acceptance = CoreAcceptance(Registry.load(), Settings(), draws)

    accepted = await acceptance.accept(orjson.dumps(run_request(**changes)), NOTHING_EARLIER)

    assert accepted.spec["split"]["seed"] == 7
    assert (draws.threads == [threading.main_thread()]) == on_the_loop


async def test_costly_sources_are_refused_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    chain = "".join(f"class A{n}(A{n - 1}):0\n" for n in range(1, 10_500))
    body = orjson.dumps(run_request(signature_code="class A0(dspy.Signature):0\n" + chain))
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as api:
        refused, *others = await asyncio.gather(
            api.client.post("/run", content=body), *(api.client.get("/health") for _ in range(3))
        )

    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("signature_code has more than 30000 words, numbers and signs")
    assert {other.status_code for other in others} == {200}


TWO = PROGRAM + "\nclass Other(dspy.Module):\n    def forward(self, text): ...\n"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Triage"),
        ({"module_name": "Triage"}, "Triage"),
        ({"program_code": TWO, "module_name": "Triage"}, "Triage"),
        ({"program_code": "from helpers.text import *\n"}, None),
    ],
    ids=["found", "named", "named of two", "from elsewhere"],
)
async def test_a_programs_class_is_named_in_the_resource_where_it_can_be_read(
    changes: dict[str, Any], name: str | None
) -> None:
    acceptance = CoreAcceptance(Registry.load(), Settings())
    accepted = await acceptance.accept(orjson.dumps(program_request(**changes)), NOTHING_EARLIER)
    assert accepted.spec["program"].get("name") == name


@pytest.mark.parametrize("threads", [-1, 0, 65, 10_000])
async def test_threads_that_the_service_does_not_have_are_refused_with_a_cure(tmp_path: Path, threads: int) -> None:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as api:
        answer = await api.client.post("/run", json=run_request(run_options={"threads": threads}))
    assert answer.status_code == 400
    cannot = f"run_options.threads: {threads} model calls at once cannot be"
    assert answer.json()["detail"] == f"{cannot}: give 1 to 64, or leave it out to have it found."


async def test_threads_are_in_the_resource_up_to_the_setting() -> None:
    acceptance = CoreAcceptance(Registry.load(), Settings(most_threads=100))
    accepted = await acceptance.accept(orjson.dumps(run_request(run_options={"threads": 100})), NOTHING_EARLIER)
    assert accepted.spec["run"]["threads"] == 100
    none = await acceptance.accept(orjson.dumps(run_request()), NOTHING_EARLIER)
    assert "threads" not in none.spec["run"]
