"""Every kind of annotation with every form that a cell may have, held against what DSPy parses from a right answer.

The answer is written as DSPy itself writes the value into a demonstration, which is what a model imitates, and parsed
by each of its adapters. What core refuses at a submit, by the source alone, the pod refuses too.
"""

import datetime
import decimal
import enum
import math
import typing
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import dspy
import pydantic
import pytest
from typing_extensions import TypedDict

from dspy_service_core.checks import cell_types
from dspy_service_core.code.signature_source import read_signature
from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.user_code.source import run_source
from dspy_service_runner.optimizer.values.cells import BadCell, CellReader
from dspy_service_runner.optimizer.values.fields import Fields
from dspy_service_runner.optimizer.values.gold import prediction_of
from dspy_service_runner.optimizer.values.typed import typed_examples


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


class Ratio(enum.Enum):
    HALF = 0.5
    WHOLE = 1


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date | None = None
    mood: Color = Color.RED


class Team(pydantic.BaseModel):
    members: list[Person]
    leader: Person | None = None


@dataclass
class Point:
    x: int
    y: int = 0


class Place(TypedDict):
    city: str
    zip: int


class Pair(NamedTuple):
    left: int
    right: str


ANN = {"name": "Ann", "born": "2001-02-03", "mood": "blue"}
PERSON = Person(name="Ann", born=datetime.date(2001, 2, 3), mood=Color.BLUE)
DAY, NOON = datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 12, 30)  # noqa: DTZ001  # as text without a zone is read
UUID = "12345678-1234-5678-1234-567812345678"
CODE = dspy.Code["python"]  # another class each time
Forms = list[Any]

RIGHT: list[tuple[Any, Any, Forms]] = [
    (str, "text", ["text"]),
    (str, "3", ["3", 3]),
    (str, "0.5", [0.5]),
    (str, "True", [True]),
    (str, "see [1] and [2]", ["see [1] and [2]"]),
    (str, '{"a": 1}', ['{"a": 1}']),
    (str, "two\nlines", ["two\nlines", "two\r\nlines"]),
    (str, "padded", ["  padded", "padded \n", "\tpadded "]),
    (int, 3, [3, "3", 3.0, "3.0", " 3 ", "+3", "03"]),
    (int, -7, [-7, "-7"]),
    (int, 10**30, [str(10**30)]),
    (int, 1000, ["1e3", "1_000", 1000.0]),
    (float, 0.5, [0.5, "0.5", ".5", "5e-1"]),
    (float, 3.0, [3, 3.0, "3"]),
    (bool, True, [True, 1, "true", "True", "TRUE", "yes", "1", "on"]),
    (bool, False, [False, 0, "false", "False", "no", "0"]),
    (datetime.date, DAY, ["2024-01-31", " 2024-01-31T00:00:00".strip()]),
    (datetime.datetime, NOON, ["2024-01-31T12:30:00", "2024-01-31 12:30"]),
    (datetime.datetime, NOON.replace(tzinfo=datetime.UTC), ["2024-01-31T12:30:00Z", "2024-01-31T12:30:00+00:00"]),
    (datetime.time, datetime.time(12, 30), ["12:30", "12:30:00"]),
    (datetime.timedelta, datetime.timedelta(hours=1), ["PT1H", "01:00:00", 3600, "3600"]),
    (decimal.Decimal, decimal.Decimal("1.5"), ["1.5", 1.5, "1.50"]),
    (decimal.Decimal, decimal.Decimal(3), [3, "3"]),
    (uuid.UUID, uuid.UUID(UUID), [UUID]),
    (Color, Color.BLUE, ["blue", "BLUE", " blue "]),
    (Level, Level.HIGH, [2, "2", "HIGH", 2.0]),
    (Size, Size.LARGE, ["l", "LARGE"]),
    (Ratio, Ratio.HALF, [0.5, "0.5", "HALF"]),
    (Ratio, Ratio.WHOLE, [1, "1"]),
    (typing.Literal["yes", "no"], "yes", ["yes", " yes ", '"yes"']),
    (typing.Literal["1", "2"], "1", ["1"]),
    (typing.Literal[1, 2], 2, [2, "2", 2.0]),
    (typing.Literal[True, "maybe"], True, [True, "True", "true"]),
    (list[str], ["a", "b"], [["a", "b"], '["a", "b"]', "['a', 'b']", "('a', 'b')"]),
    (list[str], ["1", "2"], [["1", "2"], [1, 2]]),
    (list[str], [], [[], "[]"]),
    (list[int], [1, 2], [[1, 2], ["1", "2"], "[1, 2]", '["1", 2.0]']),
    (list[Color], [Color.RED], [["red"], ["RED"], '["red"]', "['red']"]),
    (list[Level], [Level.LOW], [[1], ["1"], ["LOW"], "[1]"]),
    (list[datetime.date], [DAY], [["2024-01-31"], '["2024-01-31"]']),
    (list[Person], [PERSON], [[ANN]]),
    (set[str], {"a"}, [["a"], ["a", "a"], '["a"]', "{'a'}"]),
    (frozenset[int], frozenset({1}), [[1], "[1]"]),
    (tuple[int, str], (1, "a"), [[1, "a"], '[1, "a"]', "(1, 'a')"]),
    (tuple[int, ...], (1, 2), [[1, 2], "[1, 2]"]),
    (dict[str, int], {"a": 1}, [{"a": 1}, {"a": "1"}, '{"a": 1}', "{'a': 1}"]),
    (dict[int, str], {1: "a"}, [{"1": "a"}, '{"1": "a"}', "{1: 'a'}"]),
    (dict[Color, list[int]], {Color.RED: [1]}, [{"red": [1]}, {"RED": ["1"]}]),
    (dict[str, Any], {"a": [1, None]}, [{"a": [1, None]}, '{"a": [1, null]}']),
    (list, [1, "a"], [[1, "a"], '[1, "a"]']),
    (dict, {"a": 1}, [{"a": 1}, '{"a": 1}']),
    (Person, PERSON, [ANN, '{"name": "Ann", "born": "2001-02-03", "mood": "blue"}', str(ANN)]),
    (Team, Team(members=[PERSON]), [{"members": [ANN]}, {"members": [ANN], "leader": None}]),
    (Point, Point(1, 2), [{"x": 1, "y": 2}, {"x": "1", "y": 2}, '{"x": 1, "y": 2}']),
    (Place, {"city": "Rome", "zip": 1}, [{"city": "Rome", "zip": 1}, {"city": "Rome", "zip": "1"}]),
    (Pair, Pair(1, "a"), [[1, "a"], "[1, 'a']"]),
    (typing.Optional[int], 3, [3, "3"]),  # noqa: UP045  # people write it so
    (int | None, None, [None, "", "null", "None"]),
    (typing.Optional[Color], Color.RED, ["red", "RED"]),  # noqa: UP045
    (Color | None, None, [None, ""]),
    (list[str] | None, None, [None, "", "null"]),
    (list[str] | None, ["a"], [["a"], '["a"]']),
    (Person | None, PERSON, [ANN]),
    (typing.Literal["a"] | None, None, [None, ""]),
    (typing.Literal["", "a"] | None, "", [""]),
    (str | None, "text", ["text"]),
    (str | None, "3", ["3", 3]),
    (str | None, None, [None, ""]),
    (int | str, 3, [3, "3"]),
    (int | str, "abc", ["abc"]),
    (Any, [1], ["[1]", [1]]),
    (Any, "text", ["text"]),
    (typing.Annotated[int, pydantic.Field(ge=0)], 3, [3, "3"]),
    (CODE, CODE(code="print(1)"), ["print(1)", "```python\nprint(1)\n```"]),
]
ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()]
REFUSED_BY_DSPY = {("ChatAdapter", Level), ("XMLAdapter", Level), ("ChatAdapter", Ratio), ("XMLAdapter", Ratio)}
"""Enums of numbers, as text: DSPy then asks a second time, by its JSON adapter."""

LOST_IN_XML: list[tuple[Any, Any]] = [
    (dict[str, Any], {"a": [1, None]}),
    (list[str] | None, None),
    (typing.Literal["", "a"] | None, ""),
]
"""DSPy's XML adapter writes no types: what it reads back is text, a list, or nothing. No gold can match that."""


def _cases() -> Iterator[Any]:
    for annotation, value, forms in RIGHT:
        for form in forms:
            name = CellReader(annotation, output=True).type_name
            yield pytest.param(annotation, value, form, id=f"{name} from {form!r}")


@pytest.mark.parametrize(("annotation", "value", "cell"), [*_cases()])
@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
def test_gold_equals_the_prediction_of_a_right_model(adapter: Any, annotation: Any, value: Any, cell: Any) -> None:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "x": (annotation, dspy.OutputField())})
    columns = Columns(inputs={"q": "q"}, outputs={"x": "x"})
    gold = typed_examples([{"q": "?", "x": cell}], columns, Fields.of_signature(signature))[0]
    assert (gold.x, type(gold.x)) == (value, type(value))
    if (type(adapter).__name__, annotation) in REFUSED_BY_DSPY:
        adapter = dspy.JSONAdapter()
    answer = adapter.format_assistant_message_content(signature, {"x": value})
    parsed = adapter.parse(signature, answer)
    reader = CellReader(annotation, output=True)
    prediction = prediction_of(dspy.Prediction(parsed), gold, frozenset({"x"} if reader.may_be_no_text else ()))
    matches = (prediction.x, type(prediction.x)) == (gold.x, type(gold.x))
    assert matches is not (isinstance(adapter, dspy.XMLAdapter) and (annotation, value) in LOST_IN_XML)


INPUTS: list[tuple[Any, Any, Forms]] = [
    (str, " padded ", [" padded "]),
    (str, ["a", "b"], [["a", "b"]]),
    (str, "3", [3]),
    (Any, "see [1]", ["see [1]"]),
    (decimal.Decimal, decimal.Decimal("0.1234567890123456789"), ["0.1234567890123456789"]),
    (
        dspy.Image,
        dspy.Image("https://a.example/b.jpg"),
        ["https://a.example/b.jpg", {"url": "https://a.example/b.jpg"}],
    ),
    (dspy.Image, dspy.Image("data:image/png;base64,AAAA"), ["data:image/png;base64,AAAA"]),
    (list[dspy.Image], [dspy.Image("https://a.example/b")], [["https://a.example/b"], '["https://a.example/b"]']),
    (dict[str, dspy.Image], {"a": dspy.Image("https://a.example/b")}, [{"a": "https://a.example/b"}]),
    (dspy.Image | None, None, [None, ""]),
    (dspy.Audio, dspy.Audio(data="AA", audio_format="wav"), [{"data": "AA", "audio_format": "wav"}]),
    (dspy.File, dspy.File(file_id="f"), [{"file_id": "f"}, '{"file_id": "f"}']),
    *[
        (dspy.History, dspy.History(messages=[{"q": "1", "a": "2"}]), [form])
        for form in ({"messages": [{"q": "1", "a": "2"}]}, [{"q": "1", "a": "2"}], '{"messages": [{"q":"1","a":"2"}]}')
    ],
    (dspy.History | None, None, [None, ""]),
]


@pytest.mark.parametrize(("annotation", "value", "forms"), [*INPUTS, *(c for c in RIGHT if c[0] not in (str, Any))])
def test_inputs_become_their_types_too(annotation: Any, value: Any, forms: Forms) -> None:
    for form in forms:
        reader = CellReader(annotation, output=False)
        read = reader.read(form, empty_is_none=reader.may_be_no_text)
        assert (read, type(read)) == (value, type(value))


def test_a_field_without_annotation_takes_what_comes() -> None:
    module = run_source(
        "signature",
        "class T(dspy.Signature):\n    q = dspy.InputField()\n    a = dspy.OutputField()\n",
        "InvalidSignature",
    )
    rows = [{"q": cell, "a": 3} for cell in ({"any": 1}, None, [1], 2)]
    made = typed_examples(rows, Columns(inputs={"q": "q"}, outputs={"a": "a"}), Fields.of_signature(module.T))
    assert [e.q for e in made] == [row["q"] for row in rows]
    assert made[0].a == "3", "a model's answer is text there"


WRONG: list[tuple[str, Forms, str]] = [
    ("int", ["", " ", "abc", None, 3.5, "3.5", [1], {}, "1,234", "2024-01-31", "nan"], "(int)"),
    ("float", ["", "abc", None, [1], {}, "1,5"], "(float)"),
    ("bool", ["", "maybe", None, 2, "2", [], 0.5], "(bool)"),
    ("datetime.date", ["", 20240131, "20240131", "31.1.2024", "2024-02-31", None, "soon", 1.5, []], "date)"),
    ("datetime.datetime", ["", 1700000000, "1700000000", "1700000000.5", None, "soon", {}], "datetime)"),
    ("Literal['a', 'b']", ["", "c", None, 1, ["a"], "A"], "(Literal['a', 'b'])"),
    ("Literal[1, 2]", ["3", True, "x", None, ""], "(Literal[1, 2])"),
    ("list[int]", ["", "1, 2 and 3", "see [1]", None, 3, {"a": 1}, True], "(list[int])"),
    ("list[str]", ["a, b", "", None, 7], "(list[str])"),
    ("dict[str, int]", ["", "a: 1", None, [1], 3], "(dict[str, int])"),
    ("int | None", ["abc", [], 3.5], "(int | None)"),
    ("Optional[datetime.date]", [20240131, "soon"], "date"),
]
NESTED: list[tuple[str, Any, str]] = [
    ("list[int]", [1, "x"], "'x[1]'"),
    ("dict[str, int]", {"a": 1, "b": "y"}, "'x.b'"),
    ("list[list[int]]", [[1], [2, None]], "'x[1][1]'"),
    ("dict[str, list[bool]]", {"a": [True, "maybe"]}, "'x.a[1]'"),
    ("list[Literal['a']]", ["a", "b"], "'x[1]'"),
    ("list[datetime.date]", ["2024-01-31", 5], "'x[1]'"),
    ("list[Person]", [{"name": "Ann"}, {"born": "2001-02-03"}], "'x[1].name'"),
    ("Team", {"members": [{"name": "Ann", "born": "soon"}]}, "'x.members[0].born'"),
]
SOURCE = """
import datetime, pydantic
from typing import Literal, Optional
class Person(pydantic.BaseModel):
    name: str
    born: datetime.date | None = None
class Team(pydantic.BaseModel):
    members: list[Person]
class Task(dspy.Signature):
    x: {annotation} = dspy.InputField()
    y: {annotation} = dspy.OutputField()
"""
COLUMNS = Columns(inputs={"x": "cell"}, outputs={"y": "gold"})


def problem_at_submit(annotation: str, cell: Any) -> Any:
    its = read_signature(SOURCE.format(annotation=annotation)).types.get("x")
    return None if its is None else cell_types.problem(cell, its)


def signature_of(annotation: str) -> Any:
    return run_source("signature", SOURCE.format(annotation=annotation), "InvalidSignature").Task


def fields_of(annotation: str) -> Fields:
    return Fields.of_signature(signature_of(annotation))


@pytest.mark.parametrize(
    ("annotation", "cell", "said"), [(a, cell, said) for a, cells, said in WRONG for cell in cells]
)
def test_a_wrong_input_is_refused_at_submit_and_in_the_pod(annotation: str, cell: Any, said: str) -> None:
    assert problem_at_submit(annotation, cell) is not None
    rows = [{"cell": cell, "gold": None}]
    with pytest.raises(JobFailed) as failed:
        typed_examples(rows, COLUMNS, fields_of(annotation))
    assert failed.value.reason == "InvalidDataset"
    assert failed.value.message.startswith("dataset[0], column 'cell': field 'x' (")
    assert said in failed.value.message
    assert failed.value.message.endswith(f"; the cell holds {cell!r}.")


@pytest.mark.parametrize(("annotation", "cell", "place"), NESTED)
def test_the_place_inside_a_cell_is_named(annotation: str, cell: Any, place: str) -> None:
    with pytest.raises(JobFailed, match=r"^dataset\[0\]") as failed:
        typed_examples([{"cell": cell, "gold": None}], COLUMNS, fields_of(annotation))
    assert f"field {place} (" in failed.value.message
    found = problem_at_submit(annotation, cell)
    assert found is None or f"'x{found[0]}'" == place


@pytest.mark.parametrize("annotation", [row[0] for row in WRONG])
def test_what_the_pod_takes_is_never_refused_at_submit(annotation: str) -> None:
    cells = [*(form for _, _, forms in [*RIGHT, *INPUTS] for form in forms), *(c for _, cs, _ in WRONG for c in cs)]
    odd = ["0x10", "set()", '"3"', "'2024-01-31'", "(3)", "3 # three", "T", "0.0", 1.0, -0.0, "٣", "1" * 300, math.inf]
    task = signature_of(annotation)
    reader = CellReader(task.input_fields["x"].annotation, output=False)
    for cell in [*cells, *odd]:
        try:
            reader.read(cell)
        except BadCell:
            continue
        assert problem_at_submit(annotation, cell) is None, cell


def test_a_gold_that_cannot_become_its_type_stays_as_it_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    cells = ["3", "three", None, 4, "four", [5]]
    rows = [{"cell": n, "gold": cell} for n, cell in enumerate(cells)]
    made = typed_examples(rows, COLUMNS, fields_of("int"))
    assert [example.y for example in made] == [3, "three", None, 4, "four", [5]]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("dataset[1], column 'gold': field 'y' (int): ")
    assert said[0].endswith("; the cell holds 'three'. This gold stays as sent.")
    assert said[1].startswith("4 gold cells of field 'y'")
    assert len(said) == 2


def test_an_empty_text_is_none_only_where_the_column_has_no_null_of_its_own() -> None:
    signature = dspy.Signature({"x": (str | None, dspy.InputField()), "y": (str | None, dspy.OutputField())})
    csv = typed_examples(
        [{"cell": "", "gold": ""}, {"cell": "a", "gold": "b"}], COLUMNS, Fields.of_signature(signature)
    )
    assert [(e.x, e.y) for e in csv] == [(None, None), ("a", "b")]
    told_apart = typed_examples(
        [{"cell": "", "gold": ""}, {"cell": None, "gold": None}], COLUMNS, Fields.of_signature(signature)
    )
    assert [(e.x, e.y) for e in told_apart] == [("", ""), (None, None)]
