"""Refuses a budget that would be spent for nothing, and one of money where nobody can say what a call costs.

What only the models can tell (whether their answers say how many tokens they took) is checked in the pod, with the
first answers.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_estimate import planned_of
from dspy_service_core.estimate.least import least, said
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.words import Words

_OWN_NAMES = (".local", ".localhost", ".internal", ".lan", ".svc", ".home.arpa")


def problems(spec: OptimizationJobSpec, checked: CheckedJob, metric: str | None, words: Words) -> Iterator[str]:
    """`metric` is its code, if it is at hand."""
    if spec.budget is None:
        return
    if spec.budget.cost_usd is not None:
        yield from _unpriced(spec, words)
    if checked.split_counts is None:
        return
    needed = least(planned_of(spec, checked, checked.split_counts, metric or ""))
    for name, parts in (("metric_calls", needed.metric_calls), ("model_calls", needed.model_calls)):
        cap = getattr(spec.budget, name)
        if cap is not None and cap < sum(parts.values()):
            yield (
                f"{words(_PATHS[name])} {cap} is less than this job takes before it has anything to show: at least "
                f"{said(parts)}."
            )
    cap = spec.budget.tokens
    if cap is not None and cap < needed.tokens:
        yield (
            f"{words('spec.budget.tokens')} {cap} is less than this job takes before it has anything to show: it "
            f"makes at least {said(needed.model_calls)} model calls, each of some tokens."
        )


_PATHS = {"metric_calls": "spec.budget.metricCalls", "model_calls": "spec.budget.modelCalls"}


def _unpriced(spec: OptimizationJobSpec, words: Words) -> Iterator[str]:
    for path, name, model in spec.all_models():
        if model.prices is None and _is_nobodys_list(model.base_url):
            yield (
                f"{words('spec.budget.costUsd')} needs to know what a call of the {name} model costs, and no list of "
                f"prices has its endpoint {model.base_url}: give {words(path)}.prices, such as "
                '{"input": 0.15, "output": 0.6} in US dollars for a million tokens, or {"input": 0}.'
            )


def _is_nobodys_list(base_url: str) -> bool:
    """Whether it is an endpoint of one's own for certain. Of any other the pod knows more, which has the lists."""
    host = (urlsplit(base_url).hostname or "").rstrip(".").lower()
    if not host:
        return False
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(_OWN_NAMES)
    return True
