"""What GEPA learns from: answers that parse in part or not at all, and each predictor's own traces."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.failures import StopToken
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.strategies.gepa.gepa import with_own_signatures, with_signatures_of
from dspy_service_runner.optimizer.strategies.registry import strategy_for
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from optimizer_job import OptimizerForge, make_folders, make_spec
from plans import plan_of
from scripted_lm import ScriptedServer

IMPROVED = "Improved: give every field."
TWO_FIELDS = """
class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
    urgent: bool = dspy.OutputField()
"""
SPOILT = {
    "one field of two": "[[ ## label ## ]]\nbilling\n\n[[ ## completed ## ]]",
    "a field of the wrong type": "[[ ## label ## ]]\nbilling\n\n[[ ## urgent ## ]]\nperhaps\n\n[[ ## completed ## ]]",
    "half a JSON": '{"label": "billing"',
    "a JSON with one field": '{"label": "billing"}',
    "prose": "Sure! I would say it is fine.",
    "nothing": "",
}


class Careless:
    """Spoils two rows of three until it is told to give every field: preflight and baseline are borne."""

    def __init__(self, spoilt: str) -> None:
        self._spoilt = spoilt
        self.proposals: list[str] = []

    def answer(self, messages: Sequence[Mapping[str, Any]], auth: str = "") -> tuple[str, str]:
        said = "\n".join(str(message["content"]) for message in messages)
        if "new_instruction" in said:
            self.proposals.append(said)
            return f'{{"new_instruction": "{IMPROVED}"}}', "propose"
        row = re.search(r"Row (\d+)", str(messages[-1]["content"]))
        if row and int(row[1]) % 3 and IMPROVED not in said:
            return self._spoilt, "task"
        if "JSON object" in said:
            return '{"label": "billing", "urgent": true}', "task"
        return "[[ ## label ## ]]\nbilling\n\n[[ ## urgent ## ]]\nTrue\n\n[[ ## completed ## ]]", "task"

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_answers_that_do_not_parse_reach_the_reflection(spoilt: str, forge: OptimizerForge, tmp_path: Path) -> None:
    rows = [{"text": f"Row {number} of many.", "label": "billing", "urgent": "true"} for number in range(40)]
    model = Careless(spoilt)
    with ScriptedServer(rows, model=model) as server:
        spec = make_spec(
            server.url,
            signature={"code": TWO_FIELDS},
            columns={"inputs": {"text": "text"}, "outputs": {"label": "label", "urgent": "urgent"}},
            optimizer={"name": "gepa", "kwargs": {"max_metric_calls": 60}},
            run={"maxFailedRows": "1"},
        )
        result = forge.run(make_folders(tmp_path / "job", spec, rows))

    assert result["outcome"] == "Succeeded", result["message"]
    assert any("failed to parse" in proposal for proposal in model.proposals)
    assert result["optimizedScore"] == 100 > result["baselineScore"]


class Pair(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    """Two predictors of the same signature."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = dspy.Predict("text -> label"), dspy.Predict("text -> label")

    def forward(self, text: str) -> Any:
        self.one(text=f"first: {text}")
        return self.two(text=f"second: {text}")


class Triple(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    """Three of them, two in a dictionary, of which one runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.by = {name: dspy.Predict("text -> label") for name in ("first", "second")}
        self.third = dspy.ChainOfThought("text -> label")

    def forward(self, text: str) -> Any:
        for order in ("first", "second", "first"):
            self.by[order](text=f"{order}: {text}")
        return self.third(text=f"third: {text}")


BEGINNINGS: dict[type, dict[str, str]] = {
    Pair: {"one": "first", "two": "second"},
    Triple: {"by['first']": "first", "by['second']": "second", "third.predict": "third"},
}
"""How the inputs of each predictor begin."""


class Recorder:
    def __init__(self) -> None:
        self.inputs: list[tuple[str, str]] = []

    def on_reflective_dataset_built(self, event: dict[str, Any]) -> None:
        for name, examples in event["dataset"].items():
            self.inputs += [(name, example["Inputs"]["text"]) for example in examples]


@pytest.mark.parametrize("program", BEGINNINGS)
def test_predictors_of_equal_signature_keep_their_own_traces(
    program: type, server: ScriptedServer, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []

    def score(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> float:
        if pred_name is not None:
            asked.extend((pred_name, inputs["text"]) for _, inputs, _ in pred_trace)
        return 0.0

    lm = dspy.LM("openai/scripted", api_base=server.url, api_key="x")
    rows = [dspy.Example(text=f"Ticket {n}: x", label="none").with_inputs("text") for n in range(12)]
    outbox, recorder = Outbox(tmp_path), Recorder()
    splits = Splits(rows[:6], rows[6:9], rows[9:])
    plan = plan_of("dspy.GEPA", {"max_metric_calls": 60}, program(), splits, lm, tmp_path, threads=2)
    progress = Progress(outbox, Usage, 60)
    progress.begin_optimizer("gepa", None, counts_demos=True)
    strategy = strategy_for(dspy.GEPA)
    metric = Metric(score, Settings()).bound(StopToken(), lambda demo: None, feedback=True)
    with dspy.context(lm=lm, num_threads=2):
        optimizer = strategy.build(plan, metric, progress, Candidates(outbox, lambda: 0, lambda score: None))
        optimizer.gepa_kwargs["callbacks"].append(recorder)
        compiled = strategy.compile(optimizer, plan)

    for told in (recorder.inputs, asked):  # to the reflection, and to the metric for its feedback
        assert {name for name, _ in told} == BEGINNINGS[program].keys()
        assert all(text.startswith(BEGINNINGS[program][name]) for name, text in told)
    assert "predictor" not in str([predictor.signature.fields for predictor in compiled.predictors()])


def test_marks_show_in_no_prompt_and_are_taken_off_again() -> None:
    given = Pair()
    marked = with_own_signatures(given)
    adapter = dspy.ChatAdapter()

    assert not marked.one.signature.equals(marked.two.signature)
    for before, after in zip(given.predictors(), marked.predictors(), strict=True):
        prompts = [adapter.format(predictor.signature, [], {"text": "x"}) for predictor in (before, after)]
        assert prompts[0] == prompts[1]
    marked.one.signature = marked.one.signature.with_instructions("Better.")
    unmarked = with_signatures_of(given, marked)
    assert unmarked.one.signature.equals(given.one.signature.with_instructions("Better."))
    assert unmarked.two.signature.equals(given.two.signature)
