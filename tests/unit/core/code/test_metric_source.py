import pytest

from dspy_service_core.code.metric_source import read_metric
from dspy_service_core.errors import UnusableRequest

USABLE = {
    "named": ("def metric(gold, pred, trace=None):\n    return 1", "metric"),
    "the only one": ("import re\ndef accuracy(gold, pred):\n    return 1", "accuracy"),
    "named among others": ("def helper(x): return x\ndef metric(gold, pred): return 1", "metric"),
    "five": ("def metric(gold, pred, trace, pred_name, pred_trace): return 1", "metric"),
    "more with defaults": ("def metric(a, b, c=1, d=1, e=1, f=1): return 1", "metric"),
    "any number": ("def metric(*args): return 1", "metric"),
    "two and any number": ("def metric(gold, pred, *rest, **more): return 1", "metric"),
    "positional only": ("def metric(gold, pred, /, *, strict=False): return 1", "metric"),
    "nested functions do not count": ("def accuracy(g, p):\n    def inner(): yield 1\n    return 1", "accuracy"),
    "decorated: what it takes is not known": ("@wrap\ndef metric(): return 1", "metric"),
    "assigned": ("metric = lambda gold, pred: 1", "metric"),
    "imported": ("from acme import metric\ndef helper(x): return x", "metric"),
    "imported by another name": ("from acme import score as metric", "metric"),
    "under a condition": ("if True:\n    def metric(gold, pred): return 1", "metric"),
}
UNUSABLE = {
    "none": ("x = 1", "defines no function"),
    "several": ("def a(g, p): return 1\ndef b(g, p): return 1", "several functions, 'a', 'b'; name the one"),
    "too few": ("def metric(gold): return 1", "takes 1 arguments; it must take 2 to 5"),
    "too many": ("def metric(a, b, c, d, e, f): return 1", "takes 6 arguments; it must take 2 to 5"),
    "a needed keyword": ("def metric(gold, pred, *, strict): return 1", "needs keyword argument 'strict'"),
    "async": ("async def metric(gold, pred): return 1", "is async"),
    "a generator": ("def metric(gold, pred):\n    yield 1", "is a generator"),
    "syntax": ("def metric(gold, pred)\n    return 1", "syntax error on line 1"),
}


@pytest.mark.parametrize(("code", "name"), USABLE.values(), ids=USABLE)
def test_finds_the_metric(code: str, name: str) -> None:
    assert read_metric(code).name == name


@pytest.mark.parametrize(("code", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_refuses_what_cannot_score(code: str, message: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        read_metric(code)
    assert message in str(refused.value)
    assert str(refused.value).startswith("metric_code")
