"""Answers of status 200 that a content filter has emptied are refusals of their request."""

from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from dspy.clients.call_result import CallResult
from dspy.clients.legacy_outputs import plain
from dspy.utils.exceptions import LMInvalidRequestError

from dspy_service_runner.optimizer.models.filtered_answers import refuse_filtered
from dspy_service_runner.optimizer.models.model_errors import CONTENT_REFUSED, kind_of
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

TEXT, NO_TEXT = lm15.TextPart(text="billing"), lm15.TextPart(text="  ")
THOUGHT, NO = lm15.ThinkingPart(text="hm"), lm15.RefusalPart(text="I cannot help with that.")
CALL = lm15.ToolCallPart(id="1", name="look", input={})

FILTERED, STOPPED = "content_filter", "stop"
NATIVE: list[tuple[str, tuple[Any, ...], bool]] = [
    (FILTERED, (), True),
    (FILTERED, (NO_TEXT,), True),
    (FILTERED, (THOUGHT,), True),
    (FILTERED, (NO,), True),
    (FILTERED, (TEXT,), False),  # cut off: the program may still make something of it
    (FILTERED, (CALL,), False),
    (STOPPED, (NO,), True),
    (STOPPED, (NO, TEXT), False),
    (STOPPED, (TEXT,), False),
    (STOPPED, (NO_TEXT,), False),  # a model that says nothing
    ("length", (THOUGHT,), False),
]


@pytest.mark.parametrize(("reason", "parts", "refused"), NATIVE)
def test_native_answers(reason: Any, parts: tuple[Any, ...], refused: bool) -> None:
    message = lm15.Message(role="assistant", parts=parts or (NO_TEXT,))
    response = lm15.Response(id="1", model="m", message=message, finish_reason=reason, usage=lm15.Usage())
    check(CallResult.native(response), refused)


LITELLM: list[tuple[dict[str, Any], bool]] = [
    ({"finish_reason": FILTERED, "message": {"content": ""}}, True),
    ({"finish_reason": FILTERED, "message": {"content": None}}, True),
    ({"finish_reason": FILTERED, "message": {"content": "bill"}}, False),
    ({"finish_reason": STOPPED, "message": {"content": None, "refusal": "no"}}, True),
    ({"finish_reason": STOPPED, "message": {"content": "billing", "refusal": None}}, False),
    ({"finish_reason": STOPPED, "message": {"content": ""}}, False),
]


@pytest.mark.parametrize(("choice", "refused"), LITELLM)
def test_answers_through_litellm(choice: dict[str, Any], refused: bool) -> None:
    raw = plain({"choices": [choice]})
    check(CallResult(outputs=[choice["message"]["content"]], raw=raw), refused)


def check(result: CallResult, refused: bool) -> None:
    if not refused:
        refuse_filtered("m", result)
        return
    with pytest.raises(LMInvalidRequestError) as raised:
        refuse_filtered("m", result)
    assert kind_of(raised.value) == CONTENT_REFUSED


@pytest.mark.parametrize("engine", ["auto", "litellm"])
@pytest.mark.parametrize("fault", ["filtered", "declined"])
def test_such_a_row_is_refused_and_scored_0(
    fault: str, engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fail_every(9, fault)
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}}
    spec = make_spec(server.url, models=models, run={"maxFailedRows": "0.9"})
    result = forge.run(make_folders(tmp_path / "job", spec))

    details = result["details"]
    assert result["outcome"] == "Succeeded", result["message"]
    assert details["model_errors_by_kind"] == {"content_refused": server.stats.failed}
    assert result["usage"]["calls"] == server.stats.calls + server.stats.failed
    failed = [row["error"] for rows in details["failed_rows"].values() for row in rows["rows"]]
    assert failed
    assert all("The model's answer is empty, because" in error for error in failed)


def test_a_program_whose_every_answer_is_filtered_fails_with_that(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fail_from(2, "filtered")
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url)))

    assert (result["outcome"], result["reason"]) == ("Failed", "ModelRejectedRequest")
    assert "content filter removed it" in result["message"].splitlines()[0]
