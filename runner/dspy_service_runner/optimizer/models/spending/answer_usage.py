"""Reads what an answer says of its own tokens, and lets no odd usage spoil an answer.

DSPy's own client refuses an answer whose usage is negative, text or no object at all. The answer is good all the same,
and paid for: such figures count as not told.
"""

from collections.abc import Mapping
from typing import Any

from dspy._vendor.lm15 import types
from dspy._vendor.lm15.providers import openai_chat
from dspy.clients.call_result import CallResult

from dspy_service_core.records.values import count_of
from dspy_service_runner.optimizer.models.spending.spent import Spent

_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


def install() -> None:
    """Makes DSPy's client read usage in which figures are wrong."""
    check, read = types.Usage.__post_init__, openai_chat._usage_from_chat

    def checked(usage: Any) -> None:
        for name in usage.__dataclass_fields__:
            object.__setattr__(usage, name, count_of(getattr(usage, name)))
        check(usage)

    def read_any(found: Any) -> Any:
        return read(_usable(found))

    types.Usage.__post_init__ = checked
    openai_chat._usage_from_chat = read_any


def _usable(found: Any) -> dict[str, Any]:
    usage = dict(found) if isinstance(found, Mapping) else {}
    for name in _DETAILS:
        if not isinstance(usage.get(name), Mapping):
            usage[name] = None
    return usage


def spent_of(result: CallResult) -> Spent:
    usage = _usable(result.usage)
    sent, received = _count(usage, "prompt_tokens", "input_tokens"), _count(usage, "completion_tokens", "output_tokens")
    if not sent and not received:  # LiteLLM says 0 where the model's server says nothing
        return Spent()
    return Spent(
        prompt_tokens=sent,
        completion_tokens=received,
        cached_prompt_tokens=_detail(usage, "cached_tokens", "prompt_tokens_details", "input_tokens_details"),
        reasoning_tokens=_detail(usage, "reasoning_tokens", "completion_tokens_details", "output_tokens_details"),
    )


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """The names are those of the chat and of the responses API, by which LiteLLM hands them on."""
    found = (count_of(usage.get(name)) for name in names)
    return next((count for count in found if count is not None), None)


def _detail(usage: Mapping[str, Any], name: str, *parents: str) -> int | None:
    found = (_count(details, name) for parent in parents if isinstance(details := usage.get(parent), Mapping))
    return next((count for count in found if count is not None), None)
