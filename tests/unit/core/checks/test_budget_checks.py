"""Budgets that would be spent before a job has anything to show, and those of money where no price is known."""

from typing import Any

import pytest

from checked_jobs import check_request
from dspy_service_core.errors import UnusableRequest
from run_requests import PROGRAM, program_request, run_request

REFLECTION = {"reflection_model_config": {"name": "openai/gpt-4o"}}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "gepa": {"optimizer_name": "gepa", "optimizer_kwargs": {"max_metric_calls": 60}, **REFLECTION},
    "mipro": {"optimizer_name": "miprov2"},
    "bootstrap": {"optimizer_name": "bootstrapfewshot"},
    "search": {"optimizer_name": "dspy.BootstrapRS"},
    "simba": {"optimizer_name": "simba", "optimizer_kwargs": {"bsize": 8}},
    "copro": {"optimizer_name": "copro"},
    "labelled": {"optimizer_name": "labeledfewshot"},
    "evaluate": {"optimizer_name": "evaluate"},
}
LEAST: dict[str, tuple[int, int]] = {
    # 6 test rows before and after, and 28 rows for training or 6 for validation; a call for each model before.
    "gepa": (6 + (6 + 3 + 3 + 6) + 6, 2 + 6 + (6 + 3 + 3 + 6) + 1 + 6),
    "mipro": (6 + (6 + 6 + 4) + 6, 1 + 6 + (6 + 6 + 4) + 7 + 6),
    "bootstrap": (6 + 4 + 6, 1 + 6 + 4 + 6),
    "search": (6 + 12 + 6, 1 + 6 + 12 + 6),
    "simba": (6 + 8 * 7 + 6, 1 + 6 + 8 * 7 + 6),
    "copro": (6 + 28 + 6, 1 + 6 + 28 + 1 + 6),
    "labelled": (6 + 6, 1 + 6 + 6),
    "evaluate": (40, 1 + 40),
}


def refusal(**changes: Any) -> str:
    with pytest.raises(UnusableRequest) as refused:
        check_request(run_request(**changes))
    return str(refused.value)


@pytest.mark.parametrize("kind", ["metric_calls", "model_calls"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_least_is_taken_and_what_is_below_is_told_the_least(optimizer: str, kind: str) -> None:
    least = LEAST[optimizer][kind == "model_calls"]
    check_request(run_request(**OPTIMIZERS[optimizer], budget={kind: least}))
    said = refusal(**OPTIMIZERS[optimizer], budget={kind: least - 1})
    assert said.startswith(f"budget.{kind} {least - 1} is less than this job takes")
    assert f"at least {least} (" in said
    assert "for the baseline" in said


def test_all_of_the_least_is_told() -> None:
    said = refusal(**OPTIMIZERS["gepa"], budget={"model_calls": 5})
    assert said.endswith(
        "at least 33 (2 before the run, 6 for the baseline, 19 for one proposal, 6 for the final score)."
    )


def test_a_token_for_each_call_is_the_least_that_is_known_of_tokens() -> None:
    check_request(run_request(budget={"tokens": 36}))
    assert "budget.tokens 35 is less" in refusal(budget={"tokens": 35})


def test_a_program_s_predictors_count() -> None:
    with pytest.raises(UnusableRequest, match=r"at least 24 \(.*6 for the final score\)"):
        check_request(program_request(optimizer_name="dspy.BootstrapRS", budget={"metric_calls": 20}))
    with pytest.raises(UnusableRequest, match=r"\(1 before the run, 12 for the baseline, 24 for one .* 12 for the fin"):
        check_request(program_request(optimizer_name="dspy.BootstrapRS", budget={"model_calls": 40}))


def test_of_a_program_that_only_runs_show_what_is_certain_is_asked_for() -> None:
    unknown = PROGRAM.replace('dspy.Predict("summary -> label")', "eval('1')")
    check_request(program_request(program_code=unknown, optimizer_name="dspy.BootstrapRS", budget={"model_calls": 60}))


def test_other_caps_have_no_least() -> None:
    check_request(run_request(budget={"seconds": 1, "cost_usd": 0.000001}))


PRICED = {"name": "openai/m", "base_url": "http://10.1.2.3:8000/v1", "prices": {"input": 0}}


@pytest.mark.parametrize(
    ("models", "field"),
    [
        ({"model_config": PRICED | {"prices": None}}, "model_config.prices"),
        ({"model_config": PRICED | {"prices": None, "base_url": "http://[::1]/v1"}}, "model_config.prices"),
        ({"model_config": PRICED | {"prices": None, "base_url": "http://vllm:8000/v1"}}, "model_config.prices"),
        ({"model_config": PRICED | {"prices": None, "base_url": "http://m.ns.svc/v1"}}, "model_config.prices"),
        (
            {"task_model_config": PRICED | {"prices": None}},
            "task_model_config.prices",
        ),
        (
            {"model_configs": {"judge": PRICED | {"prices": None}}},
            "model_configs.judge.prices",
        ),
    ],
)
def test_money_needs_prices_where_no_list_can_have_them(models: dict[str, Any], field: str) -> None:
    budget = {"cost_usd": 5}
    said = refusal(budget=budget, **models)
    assert said.startswith("budget.cost_usd needs to know what a call of the ")
    assert f"give {field}, such as" in said
    check_request(run_request(**models))


@pytest.mark.parametrize("url", [None, "https://openrouter.ai/api/v1", "https://models.example.org/v1"])
def test_prices_that_only_the_pod_can_look_up_are_left_to_it(url: str | None) -> None:
    model = {"name": "openai/gpt-4o-mini", **({"base_url": url} if url else {})}
    check_request(run_request(budget={"cost_usd": 5}, model_config=model))
    check_request(run_request(budget={"cost_usd": 5}, model_config=PRICED))
