"""Errors of one request score their row 0 and are counted by kind, however many come in a row; they end no run."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, Refusal, ScriptedServer, too_long

Messages = Sequence[Mapping[str, str]]
PROPOSALS = ("proposed_instruction", "natural_language_rules")
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


SEARCHES: list[tuple[str, dict[str, Any]]] = [
    ("dspy.COPRO", {"breadth": 2, "depth": 3}),
    ("dspy.InferRules", {"num_candidates": 3}),
]


@pytest.mark.parametrize(("name", "kwargs"), SEARCHES, ids=[name for name, _ in SEARCHES])
def test_an_optimizer_that_gives_up_on_a_refusal_keeps_what_it_found(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """Its second request for a proposal is refused, once a candidate of the first was scored."""
    asked = count()

    def refusal(messages: Messages) -> tuple[int, dict[str, Any]] | None:
        proposes = any(f"`{field}`" in messages[0]["content"] for field in PROPOSALS)
        return (400, {"message": "prompt is too long: 9 > 8"}) if proposes and next(asked) else None

    server.refusal = refusal
    spec = make_spec(server.url, optimizer={"name": name, "kwargs": kwargs})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["stoppedEarly"]) == ("Succeeded", True), result["message"]
    assert result["nothingTried"] == ""
    assert result["details"]["candidate_scores"]


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
    assert result["details"]["model_errors_by_kind"] == {"content_refused": 1}


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
