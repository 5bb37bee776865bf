"""What people have in their rows becomes JSON, or an error of one line that names the row and the column."""

import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy
import pydantic
import pytest
from hypothesis import given, strategies as st

from dspy_service import UnusableValue, build_payload
from dspy_service.payload.json_values import json_rows, json_value

UTC = datetime.UTC
DAY = datetime.date(2025, 1, 2)
ID = uuid.UUID(int=7)


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    pass


class Point(NamedTuple):
    x: int
    y: float


Plain = namedtuple("Plain", ["when"])


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    born: datetime.date


class Address(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)

    town: str
    since: datetime.date = DAY
    zip_code: str = pydantic.Field(default="1", alias="zip")
    page: pydantic.HttpUrl | None = None


class Stubborn(pydantic.BaseModel):
    @pydantic.model_serializer
    def _refuse(self) -> str:
        raise ValueError("not\nme")


class Timestamp(datetime.datetime):
    """As pandas' own, a subclass."""


class NAType:
    """As pandas' own: no comparison of it has an answer."""

    def __repr__(self) -> str:
        return "<NA>"

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Frame:
    """As a data frame of pandas gives its rows."""

    columns = ("day", 2)

    def itertuples(self, index: bool, name: str | None) -> Iterator[tuple[Any, ...]]:
        assert (index, name) == (False, None)
        yield DAY, numpy.float32(0.5)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)


class Series:
    """As a row of pandas, of a database, or an Example of DSPy: no mapping, and told by its keys."""

    def keys(self) -> list[str]:
        return ["a"]

    def __getitem__(self, key: str) -> Any:
        return {"a": DAY}[key]


CASES: list[tuple[Any, Any]] = [
    (DAY, "2025-01-02"),
    (datetime.datetime.fromisoformat("2025-01-02T03:04:05"), "2025-01-02T03:04:05"),
    (datetime.datetime(2025, 1, 2, tzinfo=UTC), "2025-01-02T00:00:00+00:00"),
    (Timestamp(2025, 1, 2), "2025-01-02T00:00:00"),
    (datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta(days=1, microseconds=5), "PT86400.000005S"),
    (datetime.timedelta(seconds=-90), "-PT90.000000S"),
    (Decimal("3.10"), "3.10"),
    (ID, str(ID)),
    (Path("a") / "b", str(Path("a") / "b")),
    (PurePosixPath("/x"), "/x"),
    (Colour.RED, "red"),
    (Colour.PAIR, "PAIR"),
    (Level.LOW, 1),
    (Word("w"), "w"),
    (b"caf\xc3\xa9", "café"),
    ((1, 2), [1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"b", "a"}), ["a", "b"]),
    ({DAY, datetime.date(2024, 1, 1)}, ["2024-01-01", "2025-01-02"]),
    (deque([1]), [1]),
    (range(2), [0, 1]),
    ({"a": 1}.keys(), ["a"]),
    (OrderedDict(b=1), {"b": 1}),
    (defaultdict(list, a=[DAY]), {"a": ["2025-01-02"]}),
    (MappingProxyType({"a": (1,)}), {"a": [1]}),
    ({1: "a", 2.5: "b", None: "c"}, {"1": "a", "2.5": "b", "null": "c"}),
    ({True: "a"}, {"true": "a"}),
    ({Level.LOW: 1}, {"1": 1}),
    ({DAY: 1, Colour.RED: 2}, {"2025-01-02": 1, "red": 2}),
    (Point(1, 2.5), {"x": 1, "y": 2.5}),
    (Plain(DAY), {"when": "2025-01-02"}),
    (Person("Ann", DAY), {"name": "Ann", "born": "2025-01-02"}),
    (Address(town="X"), {"town": "X", "since": "2025-01-02", "zip": "1", "page": None}),
    (
        [Address(town="X", page=pydantic.HttpUrl("http://x/"))],
        [{"town": "X", "since": "2025-01-02", "zip": "1", "page": "http://x/"}],
    ),
    (numpy.int64(3), 3),
    (numpy.float32(0.5), 0.5),
    (numpy.float64(0.1), 0.1),
    (numpy.bool_(True), True),
    (numpy.str_("x"), "x"),
    (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (numpy.array(["a", None, DAY], dtype=object), ["a", None, "2025-01-02"]),
    (numpy.datetime64("2025-01-02"), "2025-01-02"),
    (numpy.datetime64("2025-01-02T03:04:05"), "2025-01-02T03:04:05"),
    (numpy.datetime64("2025-01-02T03:04:05.000006", "ns"), "2025-01-02T03:04:05.000006"),
    (numpy.array(["2025-01-02"], dtype="datetime64[ns]"), ["2025-01-02T00:00:00"]),
    (numpy.timedelta64(1_500_000_000, "ns"), "PT1.500000S"),
    ({"a": [{"b": ({DAY},)}]}, {"a": [{"b": [["2025-01-02"]]}]}),
]


@pytest.mark.parametrize(("value", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_a_value_becomes_what_reads_back_as_the_same(value: Any, expected: Any) -> None:
    found = json_value(value)
    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert type(found) is type(expected)


LOOP: list[Any] = []
LOOP.append(LOOP)
DEAD: list[tuple[Any, str]] = [
    (math.nan, "NaN"),
    (-math.inf, "-Infinity"),
    (numpy.float32("nan"), "NaN"),
    (numpy.array([1.0, math.inf]), "Infinity"),
    (Decimal("NaN"), "NaN"),
    (Decimal("sNaN"), "NaN"),
    (NAType(), "<NA>"),
    (numpy.datetime64("NaT"), "NaT"),
    ([1, {"x": math.nan}], "NaN"),
    (Address(town="x").model_copy(update={"town": math.nan}), "NaN"),
    (2**64, "64 bits"),
    (numpy.uint64(2**64 - 1), "64 bits"),
    ("a\ud800", "surrogate"),
    ({"\udfff": 1}, "surrogate"),
    (b"\xff", "base64"),
    (object(), "object"),
    (len, "builtin_function_or_method"),
    (lambda x: x, "function"),
    (int, "type"),
    (1j, "complex"),
    (Fraction(1, 3), "Fraction"),
    (iter([1]), "list_iterator"),
    (SimpleNamespace(a=1), "SimpleNamespace"),
    (Address(town="x").model_copy(update={"town": object()}), "object"),
    (Stubborn(), "not me"),
    ({(1, 2): 3}, "key"),
    ({1: "a", "1": "b"}, "two keys"),
    (LOOP, "holds itself"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, of the models that were made wrong on purpose
@pytest.mark.parametrize(("value", "said"), DEAD, ids=[said for _, said in DEAD])
def test_what_has_no_form_in_json_is_named_with_row_and_column(value: Any, said: str) -> None:
    rows: list[dict[str, Any]] = [{"day": DAY, "price": 1} for _ in range(9)]
    rows[7]["price"] = value
    with pytest.raises(UnusableValue) as refused:
        payload(rows)
    message = str(refused.value)
    assert message.startswith("dataset[7].price")
    assert refused.value.place.startswith("dataset[7].price")
    assert said in message
    assert "\n" not in message
    if said in ("NaN", "-Infinity", "Infinity", "NaT", "<NA>"):
        assert "null" in message


def payload(rows: Any, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"signature": "s", "metric": "m", "inputs": ["day"], "model": "m/n"}
    return build_payload(rows=rows, **given | changes)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (({"a": DAY} for _ in range(2)), [{"a": "2025-01-02"}, {"a": "2025-01-02"}]),
        (
            [Person("Ann", DAY), Address(town="X")],
            [{"name": "Ann", "born": "2025-01-02"}, json_value(Address(town="X"))],
        ),
        ([Point(1, 2)], [{"x": 1, "y": 2}]),
        (Frame(), [{"day": "2025-01-02", "2": 0.5}]),
        ([Series()], [{"a": "2025-01-02"}]),
        (SimpleNamespace(to_dicts=lambda: [{"a": DAY}]), [{"a": "2025-01-02"}]),
        (SimpleNamespace(to_pylist=lambda: [{"a": DAY}]), [{"a": "2025-01-02"}]),
        ([], []),
    ],
    ids=["generator", "objects", "named tuple", "pandas", "series", "polars", "pyarrow", "none"],
)
def test_rows_of_every_kind(rows: Any, expected: Any) -> None:
    assert payload(rows)["dataset"] == expected


@pytest.mark.parametrize("rows", [{"a": [1]}, "rows.csv", 3, None], ids=repr)
def test_what_is_no_list_of_rows_is_told(rows: Any) -> None:
    with pytest.raises(UnusableValue, match=r"^dataset should be a list of rows"):
        payload(rows)


@pytest.mark.parametrize("row", ["a", 3, [("a", 1)], None], ids=repr)
def test_what_is_no_row_is_told(row: Any) -> None:
    with pytest.raises(UnusableValue, match=r"^dataset\[1\] should be a mapping"):
        payload([{"a": 1}, row])


def test_settings_are_json_too() -> None:
    found = payload(
        [], seed=numpy.int64(3), optimizer_kwargs={"auto": Colour.RED, "n": numpy.int8(2)}, split=(0.5, 0, 0.5)
    )
    assert (found["seed"], found["optimizer_kwargs"]) == (3, {"auto": "red", "n": 2})
    with pytest.raises(UnusableValue, match=r"^optimizer_kwargs\.metric is function "):
        payload([], optimizer_kwargs={"metric": lambda: 1})
    with pytest.raises(UnusableValue, match=r"^model_config\.temperature is NaN"):
        payload([], model={"name": "m/n", "temperature": math.nan})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), below, max_size=4)
    ),
)


@given(JSON)
def test_json_stays_as_it_is(value: Any) -> None:
    assert json_value(value) == value
    assert json_rows([{"x": value}]) == [{"x": value}]
