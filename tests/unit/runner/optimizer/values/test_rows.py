"""A row keeps its number and its other columns through every copy; a metric's gold shows all of them as values."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.values.fields import Fields
from dspy_service_runner.optimizer.values.gold import gold_of, values_first
from dspy_service_runner.optimizer.values.rows import RowExample, row_number
from dspy_service_runner.optimizer.values.typed import typed_examples

COLUMNS = Columns(inputs={"text": "body"}, outputs={"label": "class"})
METHODS = ["copy", "get", "inputs", "items", "keys", "labels", "toDict", "values", "with_inputs", "without"]


def example(**others: Any) -> RowExample:
    rows = [{"body": "b", "class": "c", **others}]
    return typed_examples(rows, COLUMNS, Fields.of_signature(dspy.Signature("text -> label")))[0]


COPIES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda e: e,
    "copy": lambda e: e.copy(),
    "copy with a field": lambda e: e.copy(augmented=True),
    "without": lambda e: e.without("label"),
    "with_inputs": lambda e: e.with_inputs("text", "label"),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy in a list": lambda e: copy.deepcopy([e])[0],
    "a copy of a copy": lambda e: copy.deepcopy(e.copy().with_inputs("text")).without("label"),
    "a program's copy": lambda e: program_with(e).deepcopy().demos[0],
}


def program_with(demo: Any) -> Any:
    program = dspy.Predict("text -> label")
    program.demos = [demo]
    return program


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_knows_its_row_and_the_other_columns(way: str) -> None:
    copied = COPIES[way](example(more=1))
    assert row_number(copied) == 0
    assert gold_of(copied).more == 1
    assert "more" not in copied
    assert "more" not in repr(copied)


def test_rows_are_numbered_as_they_were_sent() -> None:
    made = typed_examples(
        [{"body": "b", "class": "c"}] * 3, COLUMNS, Fields.of_signature(dspy.Signature("text -> label"))
    )
    assert [row_number(e) for e in made] == [0, 1, 2]
    assert made[0] == made[2], "equal rows stay equal to DSPy, whatever their numbers"
    assert row_number(dspy.Example(a=1)) is None
    assert row_number("no example") is None


def test_a_pickle_holds_a_plain_example() -> None:
    pickled = pickle.dumps(example(more=1))
    assert b"dspy_service" not in pickled
    read = f"import pickle; e = pickle.loads({pickled!r}); print(type(e).__name__, e.toDict(), list(e.inputs().keys()))"
    shown = subprocess.run([sys.executable, "-I", "-c", read], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "Example {'text': 'b', 'label': 'c'} ['text']"


def test_demos_and_state_hold_mapped_columns_alone() -> None:
    state = program_with(example(more=1)).dump_state()
    assert state["demos"] == [{"text": "b", "label": "c"}]


def test_a_field_wins_over_a_column_of_its_name() -> None:
    gold = gold_of(example(label="another", text="another"))
    assert (gold.label, gold.text) == ("c", "b")
    assert set(gold.inputs().keys()) == {"text"}
    assert set(gold.labels().keys()) == {"label"}


def test_a_metric_that_writes_to_its_gold_changes_no_example() -> None:
    made = example(more=1)
    gold = gold_of(made)
    gold.label = gold.more = "changed"
    assert made.label == "c"
    assert gold_of(made).more == 1


@pytest.mark.parametrize("name", [*METHODS, "self", "base", "completions", "_store", "dspy_row", "a b", "1"])
def test_a_column_of_any_name_is_a_value(name: str) -> None:
    gold = gold_of(example(**{name: "value"}))
    assert gold[name] == "value" and gold.get(name) == "value" if name != "get" else True
    if not name.startswith("_"):
        assert getattr(gold, name) == "value"
    assert gold.label == "c"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [dspy.Example, dspy.Prediction])
def test_attributes_are_values_before_they_are_methods(kind: Any, name: str) -> None:
    made = values_first(kind({name: "value", "other": 1}))
    assert getattr(made, name) == "value"
    assert made.other == 1
    assert made[name] == "value"
    assert isinstance(made, kind)
    assert made == kind({name: "value", "other": 1})
    assert name in made
    assert sorted(made) == sorted([name, "other"])


@pytest.mark.parametrize("used", sorted({"keys", "items", "values", "get", "toDict", "copy"}))
def test_the_other_methods_go_on_to_work(used: str) -> None:
    made = values_first(dspy.Example({"labels": "l", "inputs": "i", "a": 1}))
    arguments = ["a"] if used == "get" else []
    assert getattr(made, used)(*arguments) == getattr(dspy.Example({"labels": "l", "inputs": "i", "a": 1}), used)(
        *arguments
    )


def test_views_of_views_show_values_too() -> None:
    gold = values_first(dspy.Example({"items": "i", "inputs": "q", "keys": "k"}).with_inputs("items"))
    assert gold.labels().keys == "k"
    assert "items" not in gold.labels()
    assert gold.without("keys").items == "i"
    assert gold.with_inputs("keys").items == "i"
    assert gold.copy().items == "i"


def test_what_hides_nothing_is_no_view() -> None:
    prediction = dspy.Prediction(answer="a")
    assert values_first(prediction) is prediction
    assert values_first("text") == "text"
