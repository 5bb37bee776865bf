"""Values in JSON: whatever a demo holds, a program that is loaded from its state prompts as the program itself."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import dspy
import orjson
import pydantic
import pytest
from hypothesis import given, strategies as st

from dspy_service_runner.optimizer.json_form import is_finite, plain, text, valid_text
from dspy_service_runner.optimizer.program_state import mend, state_of

ADAPTERS = (dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter())
BEIJING = dt.timezone(dt.timedelta(hours=8))


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Person(pydantic.BaseModel):
    name: str
    born: dt.date | None = None
    tags: set[str] = set()
    likes: dict[Color, int] = {}


class Names(pydantic.RootModel[set[str]]):
    pass


@dataclasses.dataclass
class Point:
    x: int
    marks: frozenset[int] = frozenset()


class Handle:
    """Nothing knows how to write it."""

    def __str__(self) -> str:
        return "a handle"


class Celsius(dspy.Type):  # type: ignore[misc]  # dspy is untyped
    degrees: float

    def format(self) -> str:
        return f"{self.degrees} degrees"


AS_EVER: dict[str, tuple[Any, Any]] = {
    "int keys": (dict[int, str], {1: "one", 2: "two"}),
    "enum keys": (dict[Color, int], {Color.RED: 1}),
    "int enum keys": (dict[Level, str], {Level.LOW: "a"}),
    "tuple keys": (dict[tuple[int, int], str], {(1, 2): "a"}),
    "date keys": (dict[dt.date, int], {dt.date(2024, 2, 29): 1}),
    "bool and none keys": (dict[bool | None, int], {True: 1, None: 2}),
    "nested keys": (dict[int, dict[int, list[str]]], {1: {2: ["x", "ü"]}}),
    "enum": (Color, Color.BLUE),
    "int enum": (Level, Level.HIGH),
    "enums": (list[Color], [Color.RED, Color.BLUE]),
    "date": (dt.date, dt.date(2024, 2, 29)),
    "naive datetime": (dt.datetime, dt.datetime.fromisoformat("2024-02-29T12:30")),
    "utc datetime": (dt.datetime, dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)),
    "utc datetimes": (list[dt.datetime], [dt.datetime(2024, 2, 29, tzinfo=dt.UTC)]),
    "datetime of a zone": (dt.datetime, dt.datetime(2024, 2, 29, 12, 30, 0, 7, BEIJING)),
    "time": (dt.time, dt.time(12, 30)),
    "timedelta": (dt.timedelta, dt.timedelta(days=-1, hours=3)),
    "timedeltas": (dict[str, dt.timedelta], {"a": dt.timedelta(seconds=90)}),
    "bytes": (bytes, b"abc"),
    "bytes of no text": (bytes, b"\xff\x00"),
    "decimal": (decimal.Decimal, decimal.Decimal("1.10")),
    "decimals": (list[decimal.Decimal], [decimal.Decimal("0.1"), decimal.Decimal("12345678901234567890.123")]),
    "large float": (float, 1e300),
    "floats": (list[float], [0.1, 1e22, -0.0]),
    "largest integers": (list[int], [2**64 - 1, -(2**63)]),
    "uuid": (uuid.UUID, uuid.UUID(int=7)),
    "model": (Person, Person(name="Ann", born=dt.date(2000, 1, 1), likes={Color.RED: 1})),
    "models": (list[Person], [Person(name="Ann"), Person(name="Bo")]),
    "models by key": (dict[int, Person], {1: Person(name="Ann")}),
    "dataclass": (Point, Point(1)),
    "tuple": (tuple[int, str], (1, "a")),
    "list for a text": (str, ["a", "b\nc"]),
    "union": (int | str, "3"),
    "optional": (int | None, None),
    "anything": (Any, {"a": [1, None, True, 2.5]}),
    "image": (dspy.Image, dspy.Image("http://example.org/a.png")),
    "images": (list[dspy.Image], [dspy.Image("http://example.org/a.png")]),
    "code": (dspy.Code["java"], dspy.Code["java"](code="int x;")),
    "history": (dspy.History, dspy.History(messages=[{"question": "a", "value": "b"}])),
    "own type": (Celsius, Celsius(degrees=20.5)),
    "no known type": (Any, Handle()),
    "text with an emoji": (str, "\N{GRINNING FACE} <b> & \u2028"),
}
"""Annotation and value: mended, the prompt stays as it was."""
SETTLED: dict[str, tuple[Any, Any]] = {
    "set": (set[str], {"Bo", "Ann", "Cy", "Di"}),
    "frozenset of numbers": (frozenset[int], frozenset({30, 4, 100, 1})),
    "sets in a dict": (dict[int, set[str]], {1: {"b", "a", "c"}}),
    "sets in sets": (set[frozenset[str]], {frozenset({"b", "a"}), frozenset({"d", "c"})}),
    "set of enums": (set[Color], {Color.RED, Color.BLUE}),
    "set of mixed": (set[int | str], {"b", 2, "a", 1}),
    "set for a text": (str, {"b", "a"}),
    "tuple for a text": (str, ("a", "b")),
    "set in a model": (Person, Person(name="Ann", tags={"z", "y", "x", "w"})),
    "set in a dataclass": (Point, Point(1, frozenset({30, 4, 100}))),
    "root model": (Names, Names({"z", "y", "x"})),
    "integer above 64 bits": (int, 2**64),
    "integers below 64 bits": (list[int], [-(2**63) - 1, 1]),
    "integers in a model's place": (dict[str, Any], {"a": {"b": 10**40}}),
    "half an emoji": (str, "ok \ud83d"),
    "halves of an emoji": (str, "\ud83d\ude00"),
    "half an emoji in a list": (list[str], ["ok \ude00", "fine"]),
    "half an emoji as a key": (dict[str, int], {"\ud83d": 1}),
    "half an emoji in a model": (Person, Person(name="A\ud83d", tags={"\ud83d"})),
    "bytes of no text in a dict": (dict[str, Any], {"a": b"\xff", "b": {1: [2]}}),
    "nested too deeply": (Any, json.loads("[" * 200 + "]" * 200)),
}
"""JSON has no form for these that keeps the prompt, or a prompt that could be sent at all."""


def program_with(annotation: Any, value: Any) -> dspy.Predict:
    """The value as an answer, and as an input."""
    fields = {
        "question": (annotation, dspy.InputField()),
        "value": (annotation, dspy.OutputField()),
        "note": (str, dspy.OutputField()),
    }
    program = dspy.Predict(dspy.Signature(fields, "Answer it."))
    program.demos = [dspy.Example({"question": value, "value": value, "note": "n", "augmented": True})]
    return program


def prompts(program: dspy.Predict) -> list[Any]:
    """As every adapter sends them."""
    return [adapter.format(program.signature, program.demos, {}) for adapter in ADAPTERS]


def loaded(annotation: Any, state: Any) -> dspy.Predict:
    program = program_with(annotation, None)
    program.load_state(state)
    return program


@pytest.mark.parametrize(("annotation", "value"), AS_EVER.values(), ids=AS_EVER.keys())
def test_a_mended_program_prompts_as_before(annotation: Any, value: Any) -> None:
    program = program_with(annotation, value)
    before = prompts(program) if value != b"\xff\x00" else None  # JSONAdapter writes the whole demo as Python would
    assert mend(program) == {}
    assert before is None or prompts(program) == before


@pytest.mark.parametrize(("annotation", "value"), (AS_EVER | SETTLED).values(), ids=(AS_EVER | SETTLED).keys())
def test_what_is_loaded_from_json_prompts_as_the_mended_program(annotation: Any, value: Any) -> None:
    program = program_with(annotation, value)
    state = state_of(program)
    mend(program)
    assert len(program.demos) == 1
    for written in (json.dumps(state), orjson.dumps(state).decode(), text(state)):
        for read in (json.loads(written), orjson.loads(written)):
            assert prompts(loaded(annotation, read)) == prompts(program)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"Bo", "Ann", "Cy"}, ["Ann", "Bo", "Cy"]),
        ({10, 9, 1}, [1, 9, 10]),
        ({"b", 2, "a", 1, None}, [1, 2, "a", "b", None]),
        ({1: {"b", "a"}}, {"1": ["a", "b"]}),
        (Person(name="Ann", tags={"z", "y"}), {"name": "Ann", "born": None, "tags": ["y", "z"], "likes": {}}),
        (10**30, "1" + "0" * 30),
        ([10**30, 1, True], ["1" + "0" * 30, 1, True]),
        ("ok \ud83d", "ok \ufffd"),
        ({"\ud83d": ["\ude00"]}, {"\ufffd": ["\ufffd"]}),
        ({"a": float("nan"), "b": float("inf")}, {"a": None, "b": None}),
        (float("-inf"), None),
        ({"a": b"\xff", "b": {1: {2}}}, {"a": "b'\\xff'", "b": {"1": [2]}}),
        ([{frozenset({1}): {2}}, 3], [{"frozenset({1})": [2]}, 3]),
    ],
)
def test_what_json_gives_back(value: Any, shown: Any) -> None:
    assert plain(value) == shown
    assert json.loads(text(value)) == shown


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        [1.0, float("nan")],
        {"a": {"b": (float("inf"),)}},
        {float("nan"): 1},
        Point(float("nan")),  # type: ignore[arg-type]
        Celsius(degrees=float("nan")),
    ],
)
def test_a_demo_with_a_number_that_json_lacks_is_dropped_and_said(value: Any) -> None:
    program = program_with(Any, value)
    program.demos.append(dspy.Example({"question": "a", "value": "b", "note": "c"}))
    assert not is_finite(value)
    assert list(mend(program)) == ["self"]
    assert [demo["note"] for demo in program.demos] == ["c"]


@pytest.mark.parametrize("levels", [90, 150, 400, 5000])
def test_what_is_nested_deeply_stays_readable_for_everybody(levels: int) -> None:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    written = text({"rows": [{"value": value, "other": {1: "kept"}}]})
    assert orjson.loads(orjson.dumps(orjson.loads(written))) == json.loads(written)


def test_a_demo_without_end_is_dropped_and_said() -> None:
    endless: list[Any] = []
    endless.append(endless)
    program = program_with(Any, endless)
    assert list(mend(program)) == ["self"]
    assert program.demos == []


def test_the_state_of_a_program_leaves_it_alone() -> None:
    program = program_with(set[str], {"b", "a"})
    state = state_of(program)
    assert program.demos[0]["value"] == {"a", "b"}
    assert state["demos"][0]["value"] == ["a", "b"]
    assert state["lm"] is None


keys = st.text() | st.integers() | st.booleans() | st.none() | st.sampled_from(Color) | st.dates()
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.sampled_from((dt.UTC, BEIJING)) | st.none())
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(Color)
    | st.sampled_from(Level)
    | st.builds(
        Person, name=st.text(), tags=st.sets(st.text()), likes=st.dictionaries(st.sampled_from(Color), st.integers())
    )
    | st.sets(st.integers() | st.text())
    | st.frozensets(st.sampled_from(Color))
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner), max_leaves=8
)


@given(values)
def test_any_value_comes_back_from_json_with_the_same_prompt(value: Any) -> None:
    program = program_with(Any, value)
    state = state_of(program)
    assert mend(program) == {}
    assert prompts(loaded(Any, orjson.loads(text(state)))) == prompts(program)
    assert prompts(loaded(Any, json.loads(text(state)))) == prompts(program)


@given(st.text(st.characters(codec=None)))
def test_text_is_valid_afterwards_and_only_where_it_was_not_changed(given_text: str) -> None:
    valid = valid_text(given_text)
    valid.encode()
    assert valid == given_text or any("\ud800" <= character <= "\udfff" for character in given_text)
