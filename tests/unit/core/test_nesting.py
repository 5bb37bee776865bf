"""No depth ends a reader, and what is cut is only what is too deep."""

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from deep_json import DEPTHS, nested
from dspy_service_core import nesting

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(alphabet='[]{}"\\a,: \n\u00e9')
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[{"\\]'), inner))


def cut_reference(value: Any, most: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if most == 0:
        return None
    if isinstance(value, dict):
        return {key: cut_reference(item, most - 1) for key, item in value.items()}
    return [cut_reference(item, most - 1) for item in value]


@given(VALUES, st.integers(0, 4), st.booleans())
def test_what_is_cut_is_only_what_is_too_deep(value, most, spaced):
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 if spaced else None)
    assert orjson.loads(nesting.cut(data, most)) == cut_reference(value, most)


@given(VALUES, st.integers(0, 5))
def test_depth_is_what_a_cut_changes(value, most):
    assert nesting.deeper_than(value, most) == (cut_reference(value, most) != value)


@pytest.mark.parametrize("depth", [100, 200, 254, 256, *DEPTHS, 100_000])
def test_every_depth_is_read_with_what_stands_beside_it(depth):
    data = b'[{"name":"a","x":' + nested(depth) + b',"y":"]]}"},{"name":"b","x":[{"z":1}]}]'
    first, second = nesting.loads(data)
    assert (first["name"], first["y"], second) == ("a", "]]}", {"name": "b", "x": [{"z": 1}]})
    assert orjson.loads(orjson.dumps(first)) == first
    assert nesting.deeper_than(first, nesting.SPEC_DEPTH)
    assert orjson.loads(nesting.bounded(data)) == [first, second]


def test_what_is_not_too_deep_stays_as_it_is():
    data = orjson.dumps([{"rows": [{"text": "[" * 500}] * 500}])
    assert nesting.bounded(data) is data
    assert nesting.loads(data) == orjson.loads(data)


@pytest.mark.parametrize("data", [b"", b"[", b"{]", b'["', b"[" * 5_000, nested(1_100)[:-1], b"]" * 5_000, b'[}"\\'])
def test_what_is_no_json_stays_none(data):
    with pytest.raises(orjson.JSONDecodeError):
        nesting.loads(data)


@pytest.mark.parametrize(
    "data", [b"[" * 400_000, b"[" * 300 + b"[]," * 400_000, b'["' + b"\\n" * 400_000, b'"' * 400_000, b'\\"' * 400_000]
)
def test_the_cut_takes_no_more_memory_than_the_bytes(data):
    tracemalloc.start()
    try:
        nesting.cut(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_the_place_is_named_by_its_field():
    deep = orjson.loads(nested(70))
    spec = {"module": {"name": "cot"}, "models": {"default": {"extra": {"a": 1, "b": deep}}}}
    assert nesting.deep_path(spec, 65, "spec") == "spec.models.default.extra.b"
    assert nesting.deep_path({"dataset": {"rows": [{}, {"x": deep}]}}, 65, "spec") == "spec.dataset.rows[1].x"
    assert nesting.deep_path({"module": {"kwargs": {"x": deep}}}, 80, "spec") == ""
