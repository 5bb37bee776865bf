"""Errors of one request score their row 0 and are counted by kind, however many come in a row; they end no run."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, Refusal, ScriptedServer, too_long

Messages = Sequence[Mapping[str, str]]
MIPRO_PROPOSALS = 3
"""Of MIPROv2 light, which are asked for at the same time: DSPy gives up all of them where one is refused."""
PROPOSALS = ("proposed_instruction", "natural_language_rules", "new_instruction", "module_advice")
DEMOS = 2
"""Messages of a prompt without demonstrations: system and user."""


def with_demos(status: int, **error: Any) -> Refusal:
    return lambda messages: (status, error) if len(messages) > DEMOS else None


REFUSALS: dict[str, tuple[Refusal, str]] = {
    "too long": (too_long(1300), "context_too_long"),
    "too long, by another provider": (with_demos(400, message="prompt is too long: 9 > 8"), "context_too_long"),
    "too large": (with_demos(413, message="Payload Too Large"), "context_too_long"),
    "filtered": (with_demos(400, message="content management policy", code="content_filter"), "content_refused"),
    "moderated": (with_demos(403, message="it requires moderation and your input was flagged"), "content_refused"),
    "whatever": (with_demos(400, message="messages[3]: no"), "rejected_request"),
    "unprocessable": (with_demos(422, message="no"), "rejected_request"),
}
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("dspy.BootstrapRS", {"num_candidate_programs": 2}),
    ("miprov2", {"auto": "light"}),
    ("simba", {"bsize": 30, "num_candidates": 3, "max_steps": 2}),
]
CASES = [
    *((refusal, *OPTIMIZERS[0]) for refusal in REFUSALS),
    *(("filtered", name, kwargs) for name, kwargs in OPTIMIZERS[1:]),
]
ROWS = [{"text": f"Ticket {i}: {TICKETS[i % 4]['text']}", "label": TICKETS[i % 4]["label"]} for i in range(120)]


@pytest.mark.parametrize(("refusal", "name", "kwargs"), CASES, ids=[f"{refusal} {name}" for refusal, name, _ in CASES])
def test_candidates_that_are_refused_score_nothing_and_the_best_other_is_kept(
    refusal: str, name: str, kwargs: dict[str, Any], forge: OptimizerForge, tmp_path: Path
) -> None:
    """More than forty in a row: every answer to a prompt with demonstrations, and there are many such candidates."""
    refuse, kind = REFUSALS[refusal]
    with ScriptedServer(ROWS) as server:
        server.refusal = refuse
        spec = make_spec(server.url, optimizer={"name": name, "kwargs": kwargs})
        result = forge.run(make_folders(tmp_path / "job", spec, ROWS))

    details = result["details"]
    assert result["outcome"] == "Succeeded", result["message"]
    assert details["model_errors_by_kind"].keys() == {kind}
    assert details["model_errors"] == details["model_errors_by_kind"][kind] > 40
    assert result["optimizedScore"] >= result["baselineScore"] > 0


GIVING_UP = [{}, {"raises": "another"}]


@pytest.mark.parametrize("kwargs", GIVING_UP, ids=str)
def test_an_optimizer_that_gives_up_on_a_refusal_keeps_what_it_found(
    kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """Its second request for a proposal is refused, once a candidate of the first was scored."""
    server.refusal = proposals_refused(REFUSED["too long"][0], lambda number: number >= 1)
    spec = make_spec(server.url, optimizer={"name": "own_optimizer.Proposing", "kwargs": kwargs})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["stoppedEarly"]) == ("Succeeded", True), result["message"]
    assert result["nothingTried"] == ""
    assert result["details"]["candidate_scores"]


@pytest.mark.parametrize("kwargs", GIVING_UP, ids=str)
def test_an_optimizer_that_gives_up_at_once_tried_nothing(
    kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = proposals_refused(REFUSED["filtered"][0], lambda number: True)
    spec = make_spec(server.url, optimizer={"name": "own_optimizer.Proposing", "kwargs": kwargs})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["reason"]) == ("Succeeded", "NothingTried"), result["message"]
    assert not result["stoppedEarly"]
    assert "gave up" in result["nothingTried"]
    assert "content management policy" in result["nothingTried"]
    assert result["optimizedScore"] == result["baselineScore"]


def test_an_error_that_no_refusal_is_behind_fails_the_job(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = proposals_refused(REFUSED["filtered"][0], lambda number: True)
    spec = make_spec(server.url, optimizer={"name": "own_optimizer.Proposing", "kwargs": {"raises": "its own"}})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["reason"]) == ("Failed", "OptimizerFailed")
    assert "out of ideas" in result["message"]


REFUSED: dict[str, tuple[tuple[int, dict[str, Any]], str]] = {
    "too long": ((400, {"message": "prompt is too long: 9 > 8"}), "context_too_long"),
    "too long, by its code": ((400, {"message": "no", "code": "context_length_exceeded"}), "context_too_long"),
    "too large": ((413, {"message": "Payload Too Large"}), "context_too_long"),
    "filtered": ((400, {"message": "content management policy", "code": "content_filter"}), "content_refused"),
    "moderated": ((403, {"message": "it requires moderation and your input was flagged"}), "content_refused"),
    "whatever": ((400, {"message": "messages[3]: no"}), "rejected_request"),
    "unprocessable": ((422, {"message": "no"}), "rejected_request"),
}
PROPOSING: dict[str, dict[str, Any]] = {
    "miprov2": {"auto": "light"},
    "gepa": {"max_metric_calls": 60},
    "simba": {"bsize": 8, "num_candidates": 3, "max_steps": 3, "max_demos": 0},
    "dspy.COPRO": {"breadth": 2, "depth": 3, "track_stats": True},
    "dspy.InferRules": {"num_candidates": 3},
}
CHANGING = """
import itertools
calls = itertools.count()
def metric(gold, pred, trace=None):
    return float(next(calls) % 3 > 0)
"""
"""SIMBA asks for advice only where one row is scored now well and now badly."""
WHICH: dict[str, Callable[[int], bool]] = {
    "first": lambda number: number == 0,
    "later": lambda number: number >= 1,
    "all": lambda number: True,
}
ADVICE = [
    *(("first", refused, name) for refused in REFUSED for name in ("dspy.COPRO", "dspy.InferRules")),
    *(("first", refused, name) for refused in ("too long", "filtered") for name in ("miprov2", "gepa", "simba")),
    *(("later", refused, name) for refused in ("too large", "moderated") for name in PROPOSING),
    *(("all", refused, name) for refused in ("too long", "unprocessable") for name in PROPOSING),
]


def proposals_refused(error: tuple[int, dict[str, Any]], which: Callable[[int], bool]) -> Refusal:
    """Refuses those requests for a proposal whose number, counted from 0, `which` accepts."""
    numbers = count()

    def refusal(messages: Messages) -> tuple[int, dict[str, Any]] | None:
        outputs = messages[0]["content"].partition("All interactions")[0].partition("Your output fields are")[2]
        proposes = any(f"`{field}`" in outputs for field in PROPOSALS)
        return error if proposes and which(next(numbers)) else None

    return refusal


@pytest.mark.parametrize(("which", "refused", "name"), ADVICE, ids=[" ".join(case) for case in ADVICE])
def test_a_refused_proposal_ends_no_search(
    which: str, refused: str, name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """The search goes on without it; if there was no other, the job says that nothing was tried, and why."""
    error, kind = REFUSED[refused]
    server.refusal = proposals_refused(error, WHICH[which])
    metric = {"metric": {"code": CHANGING}} if name == "simba" else {}
    spec = make_spec(server.url, optimizer={"name": name, "kwargs": PROPOSING[name]}, **metric)
    result = forge.run(make_folders(tmp_path / "job", spec))

    details = result["details"]
    assert result["outcome"] == "Succeeded", result["message"]
    assert not result["stoppedEarly"]
    assert details["model_errors_by_kind"].keys() == {kind}
    tried = name not in ("gepa", "simba", "dspy.COPRO") or which != "all"
    assert (result["nothingTried"] == "") == tried, "MIPROv2 and InferRules have their demos still"
    if not tried:
        assert error[1]["message"] in result["nothingTried"]


def test_rules_are_asked_for_with_fewer_examples_where_they_do_not_fit(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.keep_requests = True
    server.refusal = too_long(2000)
    optimizer = {"name": "dspy.InferRules", "kwargs": {"num_candidates": 1, "max_bootstrapped_demos": 1}}
    optimizer["kwargs"] |= {"max_labeled_demos": 0}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer)))

    assert result["outcome"] == "Succeeded", result["message"]
    assert result["details"]["model_errors_by_kind"]["context_too_long"] >= 1
    assert [entry["kind"] for entry in server.requests].count("rules") == 1


def test_mipro_searches_demos_where_proposals_are_refused(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = lambda messages: (
        (400, {"message": "content policy"})
        if any(f"`{field}`" in messages[0]["content"] for field in PROPOSALS)
        else None
    )
    spec = make_spec(server.url, optimizer={"name": "miprov2", "kwargs": {"auto": "light"}})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["reason"]) == ("Succeeded", "Completed"), result["message"]
    assert len({score for _, score in result["details"]["candidate_scores"]}) > 1
    refused = result["details"]["model_errors_by_kind"]
    assert refused.keys() == {"content_refused"}
    assert 1 <= refused["content_refused"] <= MIPRO_PROPOSALS


def test_a_program_that_is_refused_on_every_row_fails_with_the_model_s_word(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = too_long(100)
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url)))

    assert result["outcome"] == "Failed"
    assert "maximum context length" in result["message"].splitlines()[0]


DYING = ["401", "402", "404", "refuse"]


@pytest.mark.parametrize("fault", DYING)
def test_refusals_between_them_hide_no_dead_model(
    fault: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fail_from(13, fault)
    kwargs = {"num_candidate_programs": 4}
    spec = make_spec(server.url, optimizer={"name": "dspy.BootstrapRS", "kwargs": kwargs})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert result["outcome"] == "Failed"
    assert result["reason"] in {"ModelAuthFailed", "ModelBillingFailed", "ModelUnknown", "ModelUnreachable"}
