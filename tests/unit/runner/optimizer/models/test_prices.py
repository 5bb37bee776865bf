"""Costs: who is asked first for them, and that nothing is made up where nobody knows."""

import subprocess
import sys
from typing import Any

import dspy
import pytest
from dspy.clients import costs

from dspy_service_core.resource.spec.models import Prices
from dspy_service_runner.optimizer.models.spending import prices
from dspy_service_runner.optimizer.models.spending.prices import GivenPrices, bill_of, cost_of
from dspy_service_runner.optimizer.models.spending.spent import Spent

SPENT = Spent(1_000_000, 100_000, 400_000, 50_000)
OWN = GivenPrices.of(Prices(input="2", output="10", cached="0.5"))


def model(name: str, base: str = "", prices: GivenPrices | None = None) -> dspy.LM:
    lm = dspy.LM(name, api_key="k", **({"api_base": base} if base else {}))
    lm.prices = prices
    return lm


def test_the_jobs_own_prices_go_before_all_others() -> None:
    lm = model("openai/gpt-4o-mini", prices=OWN)
    assert cost_of(lm, SPENT, 99.0, 99.0) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)
    assert cost_of(lm, Spent(), 99.0, None) is None, "without tokens they say nothing"


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"input": "2", "output": "10"}, 2 + 1),
        ({"input": "2"}, 2),
        ({"input": "0", "output": "0"}, 0),
        ({"input": "1e0", "output": "0", "cached": "0"}, 0.6),
    ],
)
def test_what_is_not_said_of_them(given: dict[str, str], cost: float) -> None:
    lm = model("openai/x", prices=GivenPrices.of(Prices(**given)))
    assert cost_of(lm, SPENT, None, None) == pytest.approx(cost)


def test_more_cached_tokens_than_sent_cost_no_less_than_nothing() -> None:
    assert cost_of(model("openai/x", prices=OWN), Spent(10, 0, 99), None, None) == pytest.approx(10 * 0.5 / 1e6)


def test_the_providers_own_bill_goes_before_tables() -> None:
    assert cost_of(model("openai/gpt-4o-mini"), SPENT, 0.25, 99.0) == 0.25
    assert cost_of(model("openai/gpt-4o-mini"), Spent(), 0.25, None) == 0.25


@pytest.mark.parametrize("bill", [None, "0.25", -1, True, float("nan"), [1], {}])
def test_what_is_no_bill_is_passed_over(bill: Any) -> None:
    assert cost_of(model("openai/x"), SPENT, bill, 0.5) == 0.5


@pytest.mark.parametrize("usage", [None, "x", [1], {}])
def test_usage_without_a_bill(usage: Any) -> None:
    assert bill_of(usage) is None


def test_the_table_knows_a_provider_by_its_endpoint_or_by_its_name() -> None:
    by_name = cost_of(model("groq/llama-3.3-70b-versatile"), SPENT, None, None)
    by_endpoint = cost_of(model("openai/llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"), SPENT, None, None)
    assert by_name is not None
    assert by_name > 0
    assert by_endpoint == by_name


@pytest.mark.parametrize(
    ("base", "loads"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://vllm:8000/v1", False),
        ("http://vllm.models.svc:8000/v1", False),
        ("http://vllm.models.svc.cluster.local:8000/v1", False),
        ("http://[bad", False),
        ("https://models.example.com/v1", True),
        ("https://api.groq.com/openai/v1", True),
    ],
)
def test_the_table_is_loaded_for_servers_that_it_may_know(base: str, loads: bool) -> None:
    script = (
        "import sys; from dspy_service_runner.optimizer.models.spending.prices import _listed; "
        f"_listed('openai/x', {base!r}); print('genai_prices' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(loads)]


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("openai/llama-3.3-70b-versatile", "http://127.0.0.1:8000/v1"),
        ("openai/no-such-model", ""),
        ("nobody/gpt-4o", ""),
        ("unprefixed", ""),
    ],
)
def test_a_price_that_nobody_knows_is_none(name: str, base: str) -> None:
    assert cost_of(model(name, base), SPENT, None, None) is None


def test_where_dspy_doubts_more_than_the_price_no_table_is_asked() -> None:
    lm = model("groq/llama-3.3-70b-versatile")
    assert cost_of(lm, SPENT, None, None, "hosted-tool fees are not included in token rates") is None
    assert cost_of(lm, SPENT, None, None, "no matching pricing entry") is not None


def test_without_tokens_there_is_no_cost() -> None:
    assert cost_of(model("groq/llama-3.3-70b-versatile"), Spent(), None, None) is None


def test_dspy_s_table_is_looked_through_once_for_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look_up = costs.model_info

    def counted(provider: str, name: str, **namespaces: Any) -> Any:
        asked.append(name)
        return look_up(provider, name, **namespaces)

    monkeypatch.setattr(costs, "model_info", counted)
    prices.install()
    found = [costs.model_info("openai", name, namespaces=None) for name in ("gpt-4o-mini", "own", "gpt-4o-mini", "own")]

    assert asked == ["gpt-4o-mini", "own"]
    assert found == [look_up("openai", name) for name in ("gpt-4o-mini", "own", "gpt-4o-mini", "own")]
    assert found[0]["input_cost_per_token"] > 0
