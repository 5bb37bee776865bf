"""What one answer took, as far as it says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What an answer says that it took; None where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
