"""Which names DSPy cannot carry, tried with DSPy itself: what core refuses, and nothing else."""

import json
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import dspy
import pytest

from dspy_service_core.code.reserved_names import reserved
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.user_code.programs.program import check_names
from dspy_service_runner.optimizer.user_code.source import run_source

Side = Literal["Input", "Output"]
VALUE = "a value to look for"
NAMES = [
    *("augmented", "base", "completions", "config", "demos", "dspy_note", "fields", "input_fields", "instructions"),
    *("lm", "model_config", "model_dump", "model_validate", "new_signature", "output_fields", "self", "signature"),
    *("_hidden", "model_name", "items", "keys", "values", "labels", "inputs", "copy", "get", "toDict", "without"),
    *("json", "dict", "schema", "validate", "append", "delete", "insert", "prediction", "trace", "score", "program"),
    *("kwargs", "args", "cls", "n", "temperature", "messages", "prompt", "rollout_id", "type", "class_", "train"),
    *("traces", "stage", "callbacks", "history", "forward", "reasoning", "example", "output", "input"),
]


class _Model(dspy.BaseLM):  # type: ignore[misc]  # dspy is untyped
    def __init__(self, answer: Mapping[str, str]) -> None:
        super().__init__("model")
        self.asked: list[str] = []
        blocks = [f"[[ ## {name} ## ]]\n{value}" for name, value in answer.items()]
        self._answer = "\n\n".join([*blocks, "[[ ## completed ## ]]"])

    def forward(self, prompt: Any = None, messages: Any = None, **_options: Any) -> Any:
        self.asked.append(json.dumps(messages))
        message = types.SimpleNamespace(content=self._answer, tool_calls=None, reasoning_content=None)
        choice = types.SimpleNamespace(message=message, finish_reason="stop", logprobs=None)
        return types.SimpleNamespace(choices=[choice], usage={}, model="model")


def signature_with(name: str, side: Side) -> Any:
    code = (
        'class Task(dspy.Signature):\n    """Do it."""\n    question: str = dspy.InputField()\n'
        f"    {name}: str = dspy.{side}Field()\n    answer: str = dspy.OutputField()\n"
    )
    return run_source("signature", code, "InvalidSignature").Task


def carried(name: str, side: Side) -> bool:
    """From the prompt to the prediction, a score, a demonstration and the state of another program."""
    signature = signature_with(name, side)
    answers = {"answer": "right"} | ({name: VALUE} if side == "Output" else {})
    model, program = _Model(answers), dspy.Predict(signature)
    inputs = ["question", name] if side == "Input" else ["question"]
    rows = [dspy.Example({"question": q, "answer": "right", name: VALUE}).with_inputs(*inputs) for q in "ab"]
    with dspy.context(lm=model):
        prediction = program(**rows[0].inputs())
        if VALUE not in (model.asked[-1] if side == "Input" else prediction._store.get(name, "")):
            return False
        taught = dspy.BootstrapFewShot(
            metric=lambda gold, pred, trace=None: True, max_bootstrapped_demos=1, max_labeled_demos=1, max_errors=0
        ).compile(program, trainset=rows)
        demos = taught.demos
        loaded = dspy.Predict(signature_with(name, side))
        loaded.load_state(json.loads(json.dumps(taught.dump_state())))
        taught(**rows[1].inputs())
        loaded(**rows[1].inputs())
    return all(demo._store.get(name) == VALUE for demo in demos) and model.asked[-1] == model.asked[-2]


@pytest.fixture(autouse=True)
def _no_trace_of_it() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    sys.modules.pop("user_signature", None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["Input", "Output"])
def test_what_dspy_cannot_carry_is_refused_and_all_else_taken(side: Side, name: str) -> None:
    try:
        works = carried(name, side)
    except Exception:
        works = False
    refused = [*reserved([name], [])] if side == "Input" else [*reserved([], [name])]
    assert bool(refused) is not works
    assert all(f"'{name}'" in said and "rename it" in said for said in refused)


def test_a_class_made_at_run_time_is_refused_in_the_pod() -> None:
    signature = dspy.Signature("question, demos -> answer")
    with pytest.raises(JobFailed, match="the input field 'demos' has a name that DSPy keeps for itself: rename it"):
        check_names(signature, dspy.Predict)


@pytest.mark.parametrize(("module", "refused"), [(dspy.ChainOfThought, True), (dspy.Predict, False)])
def test_what_a_module_adds_by_itself(module: type, refused: bool) -> None:
    signature = dspy.Signature("question, reasoning -> answer")
    if refused:
        with pytest.raises(JobFailed, match=r"'reasoning' has a name that dspy\.ChainOfThought gives"):
            check_names(signature, module)
    else:
        check_names(signature, module)
