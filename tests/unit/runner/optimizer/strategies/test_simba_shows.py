"""What SIMBA shows its prompt model of values of a type: JSON, of whatever they are."""

import datetime
import enum
from typing import Any

import dspy
import orjson
import pydantic
import pytest

from dspy_service_runner.optimizer.strategies.simba import plain


class Mood(enum.Enum):
    GOOD = "good"


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date


ANN = Person(name="Ann", born=datetime.date(2001, 2, 3))
SHOWN: list[tuple[Any, Any]] = [
    ("text", "text"),
    (3, 3),
    (None, None),
    (datetime.date(2024, 1, 31), "2024-01-31"),
    (Mood.GOOD, "good"),
    (ANN, {"name": "Ann", "born": "2001-02-03"}),
    ([ANN, {"a": ANN}], [{"name": "Ann", "born": "2001-02-03"}, {"a": {"name": "Ann", "born": "2001-02-03"}}]),
    ({"a"}, ["a"]),
    ({1: "a", Mood.GOOD: {2}}, {"1": "a", "good": [2]}),
    ((1, "a"), [1, "a"]),
    (10**30, str(10**30)),
    (dspy.Image("data:image/png;base64,AAAA"), "<Image>"),
]


@pytest.mark.parametrize(("value", "shown"), SHOWN)
def test_values_are_shown_as_json(value: Any, shown: Any) -> None:
    assert plain({"x": value}) == {"x": shown}
    orjson.dumps(plain(value))
