"""What a call costs, by the first that knows it: the prices that the job gives, the bill that the provider's answer
carries, DSPy's own table, the table of `genai-prices`. None where none does, because a guess would look like a bill.

Both tables come with their packages; nothing is fetched while a job runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dspy.clients import costs
from dspy.clients.model_metadata import model_info, rate

from dspy_service_core.records.values import number_of
from dspy_service_core.resource.spec.models import Prices
from dspy_service_runner.optimizer.models.spending.spent import Spent

_MILLION = 1_000_000
_NOT_LISTED = ("", "no matching pricing entry", "a billed token dimension has no known rate")
"""DSPy's words for a model that its table lacks. For other doubts (hosted tools, a service tier), a table would not
know the bill either."""


_OWN_NETWORK = ("localhost", "local", "internal", "svc")
"""Last parts of names that no public provider has; a name of one part is none either."""

_REMEMBERED = 256
"""Models of which DSPy's entry is kept; providers name new ones in their answers now and then."""


def install() -> None:
    """DSPy looks through its whole table for every answer of a model that it does not list: a third of the time that a
    call to a server of one's own takes here."""
    costs.model_info = lru_cache(_REMEMBERED)(costs.model_info)


@dataclass(frozen=True)
class GivenPrices:
    """US dollars for a million tokens, as the job gives them."""

    input: float
    output: float
    cached: float

    @classmethod
    def of(cls, prices: Prices) -> "GivenPrices":
        given = prices.numbers()
        return cls(given["input"], given["output"], given.get("cached", given["input"]))

    def cost(self, sent: int, cached: int, received: int) -> float:
        cached = min(cached, sent)
        return ((sent - cached) * self.input + cached * self.cached + received * self.output) / _MILLION


def cost_of(lm: Any, spent: Spent, billed: Any, known: float | None, doubt: str = "") -> float | None:
    """`billed` is what the answer itself says, `known` what DSPy has reckoned, and `doubt` why it reckoned nothing."""
    sent, received = spent.prompt_tokens, spent.completion_tokens
    given: GivenPrices | None = getattr(lm, "prices", None)
    if isinstance(given, GivenPrices):
        if sent is None or received is None:
            return None
        return given.cost(sent, spent.cached_prompt_tokens or 0, received)
    bill = _cost(billed)
    if bill is not None:
        return bill
    if sent is None or received is None:
        return None
    if known is None and doubt in _NOT_LISTED:
        return _by_table(lm, spent)
    return known


def _cost(found: Any) -> float | None:
    number = None if isinstance(found, str) else number_of(found)
    return number if number is not None and number >= 0 else None


def bill_of(usage: Any) -> Any:
    """OpenRouter, for one, says beside the tokens what they cost."""
    return usage.get("cost") if isinstance(usage, Mapping) else None


def embedding_cost(lm: Any, spent: Spent) -> float | None:
    """By DSPy's table, which DSPy itself does not look into for embeddings."""
    if spent.prompt_tokens is None or lm.kwargs.get("api_base"):
        return None
    provider, _, name = lm.model.partition("/")
    price = rate(model_info(provider, name), "input_cost_per_token")
    return None if price is None else spent.prompt_tokens * price


def _by_table(lm: Any, spent: Spent) -> float | None:
    prices = _listed(lm.model, str(lm.kwargs.get("api_base") or ""))
    if prices is None:
        return None
    from genai_prices import Usage  # its tables take 120 to 250 ms and 20 MB: only where they may know a price

    used = Usage(
        input_tokens=spent.prompt_tokens,
        output_tokens=spent.completion_tokens,
        cache_read_tokens=min(spent.cached_prompt_tokens or 0, spent.prompt_tokens or 0),
    )
    try:
        return float(prices.calc_price(used)["total_price"])
    except (LookupError, ValueError, ArithmeticError):
        return None


@cache
def _listed(model: str, endpoint: str) -> Any:
    """The model's prices; None for one that the table lacks. An endpoint of one's own is no provider's, whatever the
    model's name begins with."""
    if endpoint and _on_own_network(endpoint):
        return None
    from genai_prices import data_snapshot  # as above

    provider, _, name = model.partition("/")
    known_by = (None, endpoint) if endpoint else (provider, None)
    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(name, None, *known_by)
        return found.get_prices(datetime.now(UTC))
    except (LookupError, ValueError):
        return None


def _on_own_network(endpoint: str) -> bool:
    """The table knows providers by the names of their hosts, so that it need not be loaded for others."""
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        return True
    try:
        ip_address(host)
    except ValueError:
        name = host.rstrip(".")
        return "." not in name or name.rpartition(".")[2] in _OWN_NETWORK
    return True
