"""Metrics in the forms that people have them in score in the job as they do here."""

import inspect
import textwrap
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service import build_payload
from live_objects import Rebuilt, imports_from, users_project

ROWS = [{"question": "q", "answer": "a"}]
PROGRAM = """
import dspy, enum, functools
class Colour(enum.Enum):
    RED = "red"
class Paint(dspy.Signature):
    question: str = dspy.InputField()
    answer: Colour = dspy.OutputField()
class Painter(dspy.Module):
    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict(Paint)
    def forward(self, question): return self.predict(question=question)
program = Painter()
def exact(gold, pred, trace=None): return str(gold.answer) == str(pred.answer)
"""

METRICS = {
    "a function": "metric = exact",
    "with a class of the program": "def metric(gold, pred): return pred.answer in (Colour.RED, 'red')",
    "with five arguments": "def judged(gold, pred, trace=None, pred_name=None, pred_trace=None):\n"
    "    assert pred_name == 'p'\n    return exact(gold, pred)\nmetric = judged",
    "with an argument of its own": "def judged(gold, pred, trace=None, share=1.0):\n"
    "    return share >= 1.0 and exact(gold, pred)\nmetric = judged",
    "a partial without a name": "def least(limit, gold, pred):\n    return limit < 2 and exact(gold, pred)\n"
    "metrics = [functools.partial(least, 1)]\ndel metrics[:0]\nmetric = metrics[0]",
    "a method without a name": "class Judge:\n    def __init__(self): self.least = 1\n"
    "    def score(self, gold, pred, trace=None): return self.least and exact(gold, pred)\n"
    "judge = Judge()\nmetric = judge.score",
    "a helper of another file": "import marks\nmetric = marks.marked",
    "DSPy's own": "from dspy.evaluate import answer_exact_match as metric",
}


@pytest.mark.parametrize("text", METRICS.values(), ids=METRICS)
def test_a_metric_scores_as_here(text: str, tmp_path: Path) -> None:
    metric, rebuilt = _both(text, tmp_path)
    assert bool(_asked(rebuilt.metric, "red", "red")) is True
    assert bool(_asked(rebuilt.metric, "red", "blue")) is False
    assert bool(_asked(metric, "red", "red", live=True)) is True


def test_program_and_metric_have_one_class_between_them(tmp_path: Path) -> None:
    _, rebuilt = _both("def metric(gold, pred): return pred.answer is Colour.RED", tmp_path)
    kind = rebuilt.program.predict.signature.output_fields["answer"].annotation
    assert rebuilt.metric(None, dspy.Prediction(answer=kind.RED)) is True


def test_a_judge_is_a_program_with_its_arguments(tmp_path: Path) -> None:
    _, rebuilt = _both("metric = dspy.evaluate.SemanticF1(threshold=0.4, decompositional=True)", tmp_path)
    gold = dspy.Example(question="q", response="r")
    lm = _Answers({"recall": "1.0", "precision": "0.5"})
    with dspy.context(lm=lm):
        assert rebuilt.metric(gold, dspy.Prediction(response="r")).score == pytest.approx(2 / 3)
        assert rebuilt.metric(gold, dspy.Prediction(response="r"), trace=[]).score is True
    assert "ground_truth_key_ideas" in lm.asked[0]


JUDGE = """
class Judge(dspy.Module):
    def __init__(self, style="hard"):
        super().__init__()
        self.style = style
        self.grade = dspy.Predict("question, answer -> correct: bool")
    def forward(self, gold, pred, trace=None):
        with dspy.context(lm=strong):
            return self.grade(question=self.style, answer=pred.answer).correct
strong = dspy.LM("openai/strong", api_key="k-secret")
metric = Judge("soft")
"""


def test_a_judge_s_model_is_one_of_the_job_s(tmp_path: Path) -> None:
    with users_project(tmp_path / "here", {"users_program.py": PROGRAM + JUDGE}) as module:
        payload = _payload(module)
    assert payload["model_configs"]["strong"]["extra"] == {"api_key": "k-secret"}
    assert "secret" not in payload["metric_code"] + payload["program_code"]
    rebuilt = Rebuilt(payload, tmp_path / "there")
    rebuilt.models["strong"] = lm = _Answers({"correct": "True"})
    payload_names = rebuilt.metric.__globals__
    payload_names["strong"] = lm
    assert rebuilt.metric(None, dspy.Prediction(answer="red")) is True
    assert "soft" in lm.asked[0]


def test_models_that_the_code_asks_for_by_name_are_those_of_the_job(tmp_path: Path) -> None:
    text = """
models = {"judge": dspy.LM("openai/judge", api_key="k-secret"), "other": dspy.LM("openai/other")}
def metric(gold, pred):
    with dspy.context(lm=models["judge"]):
        return 1.0
"""
    with users_project(tmp_path / "here", {"users_program.py": PROGRAM + text}) as module:
        payload = _payload(module)
    assert set(payload["model_configs"]) == {"judge", "other"}
    assert "models = " not in payload["metric_code"]
    assert Rebuilt(payload, tmp_path / "there").metric(None, None) == 1.0


def test_a_module_that_a_file_imports_back_is_not_two_modules(tmp_path: Path) -> None:
    files = {
        "team/__init__.py": "",
        "team/program.py": PROGRAM + "from . import rules\nmetric = rules.red\n",
        "team/rules.py": "def red(gold, pred):\n    from team import program\n"
        "    return pred.answer is program.Colour.RED\n",
    }
    with users_project(tmp_path / "here", files, "team.program") as module:
        payload = _payload(module)
    with imports_from(tmp_path / "there"):
        rebuilt = Rebuilt(payload, tmp_path / "there")
        kind = rebuilt.program.predict.signature.output_fields["answer"].annotation
        assert rebuilt.metric(None, dspy.Prediction(answer=kind.RED)) is True


def _payload(module: Any) -> dict[str, Any]:
    return build_payload(module.program, metric=module.metric, trainset=ROWS, lm="openai/m")


def _both(text: str, folder: Path) -> tuple[Any, Rebuilt]:
    files = {
        "users_program.py": PROGRAM + text + "\n",
        "marks.py": "from ink import SAME\ndef marked(gold, pred, trace=None): return SAME(gold.answer, pred.answer)\n",
        "ink.py": "from operator import eq as SAME\n",
    }
    with users_project(folder / "here", {path: textwrap.dedent(text) for path, text in files.items()}) as module:
        payload = _payload(module)
        metric = module.metric
    return metric, Rebuilt(payload, folder / "there")


def _asked(metric: Any, gold: str, pred: str, live: bool = False) -> Any:
    """As the service asks: with as many arguments as it takes."""
    given = [dspy.Example(answer=gold), dspy.Prediction(answer=pred), None, "p", None]
    parameters = inspect.signature(metric).parameters.values()
    taken = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    standard = [p.name for p in parameters][3:4] in ([], ["pred_name"])
    return metric(*given[: taken if standard or not live else 3])


class _Answers(dspy.LM):
    """Answers every call with the fields that it is given, and others as text."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("openai/answers", cache=False)
        self.fields = fields
        self.asked: list[str] = []

    def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> list[str]:
        self.asked.append(str(messages))
        names = ["reasoning", "ground_truth_key_ideas", "system_response_key_ideas", "discussion", *self.fields]
        return ["\n".join(f"[[ ## {name} ## ]]\n{self.fields.get(name, 'x')}" for name in names)]
