"""A signature and a metric for any table: they must be ones that dspy takes, and judge fairly."""

from typing import Any, get_args

import dspy
import pytest

from dspy_service_local.demo.guess import field_names, metric_code, signature_code

TICKETS = [{"text": f"t{n}", "team": team} for n, team in enumerate(["a b", 'it\'s "c"'] * 5)]


def signature(rows: list[dict[str, Any]], inputs: list[str], outputs: list[str], instruction: str = "") -> Any:
    names: dict[str, Any] = {}
    exec(signature_code(rows, field_names(inputs), field_names(outputs), instruction), names)
    return names["Task"]


def metric(*outputs: str) -> Any:
    names: dict[str, Any] = {}
    exec(metric_code(list(outputs)), names)
    return names["metric"]


def test_few_distinct_values_become_labels() -> None:
    task = signature(TICKETS, ["text"], ["team"], "Route it.")
    assert list(task.input_fields) == ["text"]
    assert get_args(task.output_fields["team"].annotation) == ("a b", 'it\'s "c"')
    assert task.instructions == "Route it."


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 1, 2], int),
        ([0.5, 0.25], float),
        ([True, False], bool),
        (["x", "y"], str),
        (["same"] * 6, str),
        (["a" * 80, "b" * 80] * 4, str),
        (["two\nlines", "x"] * 4, str),
        ([None, None], str),
    ],
)
def test_types_come_from_the_values(values: list[Any], kind: type) -> None:
    task = signature([{"q": "", "a": value} for value in values], ["q"], ["a"])
    assert task.output_fields["a"].annotation is kind


def test_columns_become_python_names() -> None:
    columns = ["Customer text", "class", "2nd", "größe"]
    assert field_names(columns) == {
        "Customer_text": "Customer text",
        "class_": "class",
        "field_2nd": "2nd",
        "größe": "größe",
    }
    signature([dict.fromkeys(columns, "x")], columns[:2], columns[2:])


LONG = "She has 16 - 3 = <<16-3=13>>13 eggs.\n#### 13"


@pytest.mark.parametrize(
    ("gold", "given", "score"),
    [
        ("billing", "billing", 1),
        ("billing", " Billing. ", 1),
        ("new card", "new  card", 1),
        ("billing", "repairs", 0),
        ("billing", "", 0),
        ("0.5", "0.5", 1),
        (True, True, 1),
        (LONG, "13", 1),
        (LONG, "13.", 1),
        (LONG, "#### 13", 1),
        (LONG, "3 + 10 makes $13 dollars", 1),
        (LONG, "13 - 1 = 12", 0),
        (LONG, "many", 0),
        ("#### 1,300", "It is 1,300", 1),
        ("#### -5", "-5", 1),
    ],
)
def test_the_metric_judges(gold: Any, given: Any, score: int) -> None:
    judged = metric("a")(dspy.Example(q="x", a=gold), dspy.Prediction(a=given))
    assert judged.score == score
    assert (judged.feedback == "Correct.") == bool(score)


def test_the_metric_counts_each_output_and_tells_the_right_answer() -> None:
    judged = metric("a", "b")(dspy.Example(a="x", b="y"), dspy.Prediction(a="x", b="z"), None, "name", None)
    assert judged.score == 0.5
    assert judged.feedback == "b must be 'y', not 'z'."


def test_a_prediction_without_the_field_scores_nothing() -> None:
    assert metric("a")(dspy.Example(a="x"), dspy.Prediction(b="x")).score == 0
