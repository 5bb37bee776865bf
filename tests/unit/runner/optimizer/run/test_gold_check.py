"""Metrics written for typed values, for cells as they were sent, or for both: a right answer has full marks in each."""

import datetime
import enum
import json
import logging
import pickle
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle
import dspy
import pydantic
import pytest

from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.run.gold_check import choose_gold
from dspy_service_runner.optimizer.run.preflight import right_answer
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.user_code.source import run_source
from dspy_service_runner.optimizer.values.fields import Fields
from dspy_service_runner.optimizer.values.keyed import allow_keys
from dspy_service_runner.optimizer.values.typed import text_or_none, typed_examples

MODELS = '''
import pydantic
class Line(pydantic.BaseModel):
    price: float
class Bill(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    total: float = pydantic.Field(alias="sum")
    lines: list[Line] = []
    by_name: dict[str, Line] = {}
    spare: Line | None = None
class Own(pydantic.BaseModel):
    total: float
    def __getitem__(self, key):
        return "its own"
class Task(dspy.Signature):
    """Do it."""
    text: str = dspy.InputField()
    bill: Bill = dspy.OutputField()
    own: Own = dspy.OutputField()
'''


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Person(pydantic.BaseModel):
    name: str
    age: int


SENT: dict[str, tuple[Any, Any, str]] = {
    "a date compared as text": (datetime.date, "2024-01-31", "gold.x == pred.x.isoformat()"),
    "a date read by the metric": (datetime.date, "2024-01-31", "datetime.date.fromisoformat(gold.x) == pred.x"),
    "a model compared as a dict": (Person, {"name": "Ann", "age": 3}, "gold.x == pred.x.model_dump()"),
    "a model used as a dict": (Person, {"name": "Ann", "age": 3}, "gold.x.get('age') == pred.x.age"),
    "JSON text read by the metric": (list[str], '["a"]', "json.loads(gold.x) == pred.x"),
    "an enum compared by its value": (Mood, "good", "gold.x == pred.x.value"),
    "a number compared as text": (int, "3", "gold.x == str(pred.x)"),
    "a boolean as text": (bool, "true", "(gold.x == 'true') == pred.x"),
    "percent": (int, "3", "100 * (gold.x == str(pred.x))"),
}
TYPED: dict[str, tuple[Any, Any, str]] = {
    "equality": (datetime.date, "2024-01-31", "gold.x == pred.x"),
    "a part": (Person, {"name": "Ann", "age": 3}, "gold.x.name == pred.x.name"),
    "an enum": (Mood, "good", "gold.x is pred.x"),
    "numbers": (int, "3", "abs(gold.x - pred.x) < 1"),
    "either way": (int, "3", "int(gold.x) == int(pred.x)"),
    "never full": (int, "3", "0.5 * (str(gold.x) == str(pred.x))"),
    "worse as sent": (int, "3", "0.9 if gold.x == pred.x else 0"),
    "always wrong": (int, "3", "False"),
    "always raising": (int, "3", "gold.y"),
    "one row that is right by its type": (
        int,
        ["3", "4"],
        "gold.x == str(pred.x) if pred.x == 3 else gold.x == pred.x",
    ),
    "nothing to decide": (str, "text", "gold.x == pred.x + '!'"),
}


def metric_of(expression: str) -> Metric:
    code = f"import datetime, json\ndef metric(gold, pred, trace=None):\n    return {expression}\n"
    return Metric(run_source("metric", code, "InvalidMetric").metric, Settings())


def chosen(annotation: Any, cells: Any, expression: str) -> Metric:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "x": (annotation, dspy.OutputField())})
    given = cells if isinstance(cells, list) else [cells] * 5
    rows: Sequence[Mapping[str, Any]] = [{"q": "?", "cell": cell} for cell in given]
    examples = typed_examples(rows, Columns(inputs={"q": "q"}, outputs={"x": "cell"}), Fields.of_signature(signature))
    metric = metric_of(expression)
    choose_gold(metric, dspy.Predict(signature), examples)
    if metric.gold_as_sent:
        program = dspy.Predict(signature)
        assert all(metric.score(e, right_answer(program, e), None, None, None).value >= 1 for e in examples)
    return metric


@pytest.mark.parametrize("name", SENT)
def test_gold_stays_as_sent_where_only_so_a_right_answer_is_right(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("dspy_service").propagate = True
    assert chosen(*SENT[name]).gold_as_sent
    assert "so it gets gold as sent" in caplog.text


@pytest.mark.parametrize("name", TYPED)
def test_gold_has_its_type_everywhere_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not chosen(*TYPED[name]).gold_as_sent
    assert "gold as sent" not in caplog.text


def test_a_judge_is_not_asked_twice_where_it_is_content() -> None:
    seen: list[Any] = []
    signature = dspy.Signature({"q": (str, dspy.InputField()), "x": (int, dspy.OutputField())})
    rows = [{"q": "?", "x": "3"}] * 5
    examples = typed_examples(rows, Columns(inputs={"q": "q"}, outputs={"x": "x"}), Fields.of_signature(signature))
    metric = Metric(lambda gold, pred: seen.append(gold.x) is None, Settings())
    choose_gold(metric, dspy.Predict(signature), examples)
    assert seen == [3]


KEYS: dict[str, tuple[str, Any]] = {
    "a field": ("total", 3.0),
    "an alias": ("sum", 3.0),
    "what is extra": ("note", "n"),
}


@pytest.fixture
def models() -> types.ModuleType:
    module = run_source("signature", MODELS, "InvalidSignature")
    allow_keys(Fields.of_signature(module.Task).outputs.values(), module)
    return module


@pytest.mark.parametrize("name", KEYS)
def test_a_models_fields_by_key(models: types.ModuleType, name: str) -> None:
    key, value = KEYS[name]
    bill = models.Bill.model_validate({"sum": 3, "note": "n", "lines": [{"price": 1}], "spare": {"price": 2}})
    assert bill[key] == value
    assert bill["lines"][0]["price"] == 1
    assert bill["spare"]["price"] == 2
    with pytest.raises(KeyError, match="nothing"):
        bill["nothing"]


def test_a_class_with_keys_of_its_own_keeps_them(models: types.ModuleType) -> None:
    assert models.Own(total=1)["total"] == "its own"
    assert not hasattr(dspy.History, "__getitem__")


def test_what_is_pickled_with_the_users_module_needs_no_module_of_ours(models: types.ModuleType) -> None:
    cloudpickle.register_pickle_by_value(models)
    try:
        pickled = cloudpickle.dumps(models.Bill.model_validate({"sum": 3}))
    finally:
        cloudpickle.unregister_pickle_by_value(models)
    assert b"dspy_service" not in pickled
    read = f"import pickle; print(pickle.loads({pickled!r})['total'])"
    shown = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "3.0"
    assert pickle.loads(pickle.dumps(models.Bill.model_validate({"sum": 3})))["total"] == 3


NONES: list[tuple[Any, Any, Any, bool]] = [
    (str | None, None, "None", True),
    (str | None, None, "null", True),
    (str | None, None, "", True),
    (str | None, None, None, True),
    (str | None, None, "Nonesuch", False),
    (str | None, "None", "None", True),
    (str | None, "None", None, False),
    (str | None, "", None, True),  # the column has no null of its own: as in CSV, empty is None
    (int | str | None, None, "None", True),
    (int | None, None, None, True),
]


@pytest.mark.parametrize(("annotation", "cell", "answer", "right"), NONES)
def test_a_models_none_is_none_where_none_is_right(annotation: Any, cell: Any, answer: Any, right: bool) -> None:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "x": (annotation, dspy.OutputField())})
    columns = Columns(inputs={"q": "q"}, outputs={"x": "x"})
    example = typed_examples([{"q": "?", "x": cell}], columns, Fields.of_signature(signature))[0]
    metric = metric_of("gold.x == pred.x")
    metric.text_or_none = text_or_none(Fields.of_signature(signature).outputs)
    prediction = dspy.Prediction(x=answer)
    assert metric.score(example, prediction, None, None, None).value == right
    assert prediction.x == answer, "what others see of the prediction stays as it is"


def test_a_right_answer_is_of_the_golds_type() -> None:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "x": (Person, dspy.OutputField())})
    rows = [{"q": "?", "x": json.dumps({"name": "Ann", "age": "3"})}]
    example = typed_examples(rows, Columns(inputs={"q": "q"}, outputs={"x": "x"}), Fields.of_signature(signature))[0]
    assert right_answer(dspy.Predict(signature), example).x == Person(name="Ann", age=3)
