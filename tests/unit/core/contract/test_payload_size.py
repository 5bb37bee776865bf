"""What is told of a body's bytes before anything is built of them."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dspy_service_core.contract import request_size
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.errors import InvalidRequest
from heavy_bodies import SHAPES

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a,{[:"\\\n1')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('a,{["\\')), inner, max_size=4),
    max_leaves=20,
)


def separators(value: Any) -> int:
    """Commas and opening brackets of the value's JSON, those in its strings left out."""
    if not isinstance(value, dict | list):
        return 0
    below = value.values() if isinstance(value, dict) else value
    return 1 + max(len(value) - 1, 0) + sum(map(separators, below))


@given(JSON_VALUES)
def test_strings_do_not_count(value: Any) -> None:
    body, count = json.dumps(value).encode(), separators(value) + 1
    request_size.refuse_many_values(body, count)
    with pytest.raises(InvalidRequest):
        request_size.refuse_many_values(body, count - 1)


@given(st.binary())
def test_any_bytes_are_counted(body: bytes) -> None:
    assert len(list(request_size.large_integers(body))) <= request_size.values_at_most(body) + len(body)


@pytest.mark.parametrize("shape", ["empty rows", "empty lists", "rows of one cell", "small strings", "numbers"])
def test_too_many_values_are_refused_before_any_is_built(shape: str) -> None:
    body = SHAPES[shape](4_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="holds more than 500000 values"):
            parse_run_request(body)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_large_integers_are_found_without_building_the_body_again(shape: str) -> None:
    body = SHAPES[shape](500_000)
    tracemalloc.start()
    try:
        found = sum(1 for _ in request_size.large_integers(body))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert (found > 0) == (shape == "large numbers")
