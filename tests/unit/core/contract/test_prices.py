"""Prices of a model's settings, in a request and in a resource."""

from typing import Any

import orjson
import pytest

from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.errors import InvalidRequest
from run_requests import run_request


def with_prices(prices: Any) -> bytes:
    return orjson.dumps(run_request() | {"model_config": {"name": "openai/x", "prices": prices}})


@pytest.mark.parametrize(
    "prices", [None, {"input": 0}, {"input": 0.15, "output": 0.6}, {"input": 3, "output": 15, "cached": 0.3}]
)
def test_they_are_taken(prices: Any) -> None:
    found = parse_run_request(with_prices(prices)).default_model_config.prices
    assert (None if found is None else found.model_dump(exclude_unset=True)) == prices


@pytest.mark.parametrize(
    ("prices", "field"),
    [
        ({}, "model_config.prices.input"),
        ({"output": 1}, "model_config.prices.input"),
        ({"input": -1}, "model_config.prices.input"),
        ({"input": "cheap"}, "model_config.prices.input"),
        ({"input": True}, "model_config.prices.input"),
        ({"input": None}, "model_config.prices.input"),
        ({"input": 1, "output": -0.1}, "model_config.prices.output"),
        ({"input": 1, "cached": 1e9}, "model_config.prices.cached"),
        ({"input": 1, "reasoning": 1}, "model_config.prices.reasoning"),
        (5, "model_config.prices"),
    ],
)
def test_what_is_no_price_is_refused_by_its_name(prices: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_run_request(with_prices(prices))
    assert [problem.field for problem in raised.value.problems] == [field]
