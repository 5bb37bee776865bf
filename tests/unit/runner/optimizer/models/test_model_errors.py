"""Which errors are one request's, and which are the model's: as providers say it."""

import pytest
from dspy.utils import exceptions as dspy_errors

from dspy_service_runner.optimizer.models.model_errors import (
    OF_ONE_REQUEST,
    is_lasting,
    kind_of,
    refusal_behind,
    shows_life,
)

INVALID, AUTH, LIMIT = dspy_errors.LMInvalidRequestError, dspy_errors.LMAuthError, dspy_errors.LMRateLimitError
SERVER, PROVIDER = dspy_errors.LMServerError, dspy_errors.LMProviderError

SAID: list[tuple[str, type[Exception], int, str]] = [
    ("context_too_long", INVALID, 400, "This model's maximum context length is 4096 tokens."),
    ("context_too_long", INVALID, 400, "prompt is too long: 208310 tokens > 200000 maximum"),
    ("context_too_long", INVALID, 400, "Input is too long for requested model."),
    ("context_too_long", INVALID, 400, "the request exceeds the available context size"),
    ("context_too_long", INVALID, 400, "The input token count exceeds the maximum number of tokens allowed"),
    ("context_too_long", INVALID, 413, "Payload Too Large"),
    (
        "context_too_long",
        LIMIT,
        429,
        "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41234",
    ),
    ("context_too_long", SERVER, 500, "input exceeds context window"),
    (
        "content_refused",
        INVALID,
        400,
        "The response was filtered due to the prompt triggering content management policy",
    ),
    ("content_refused", INVALID, 400, "Your request was rejected as a result of our safety system."),
    (
        "content_refused",
        INVALID,
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy",
    ),
    ("content_refused", INVALID, 400, "Output blocked by content filtering policy"),
    ("content_refused", AUTH, 403, "This model requires moderation and your input was flagged"),
    ("rejected_request", INVALID, 400, "Unsupported value: 'temperature' does not support 0.5 with this model."),
    ("rejected_request", INVALID, 422, "response_format: unknown variant"),
    ("rejected_request", INVALID, 400, "injected 400"),
    ("billing", INVALID, 400, "Your credit balance is too low to access the Anthropic API."),
    ("billing", dspy_errors.LMBillingError, 429, "You exceeded your current quota"),
    ("authentication", INVALID, 400, "API key not valid. Please pass a valid API key."),
    ("authentication", AUTH, 401, "Incorrect API key provided: sk-12"),
    ("authentication", AUTH, 403, "Your account was flagged; write to support."),
    ("unknown_model", INVALID, 400, "acme/nope is not a valid model ID"),
    ("unknown_model", INVALID, 404, "Not Found"),
    ("unknown_model", dspy_errors.LMUnsupportedModelError, 404, "The model `m` does not exist"),
    ("rate_limited", LIMIT, 429, "Rate limit reached for gpt-4o on tokens per min. Limit 30000, Used 29000."),
    ("rate_limited", LIMIT, 429, "Too many tokens, please wait before trying again."),
    ("rate_limited", LIMIT, 429, "You exceeded your current quota, please check your plan. Retry in 7s."),
    ("server_error", SERVER, 503, "Overloaded"),
    ("timeout", dspy_errors.LMTimeoutError, 504, "deadline"),
    ("other", PROVIDER, 418, "teapot"),
]


@pytest.mark.parametrize(("kind", "error", "status", "said"), SAID)
def test_what_providers_say(kind: str, error: type[Exception], status: int, said: str) -> None:
    assert kind_of(error(said, status=status)) == kind  # type: ignore[call-arg]


LOCAL: list[tuple[str, Exception]] = [
    ("not_encodable", ValueError("messages contains text that is not valid Unicode (lone surrogate U+D800)")),
    ("not_encodable", UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")),
    ("rejected_request", TypeError("unsupported argument")),
    ("unsupported_feature", dspy_errors.LMUnsupportedFeatureError("no images", feature="image")),
    ("unreachable", dspy_errors.LMTransportError("connection refused")),
    ("configuration", dspy_errors.LMConfigurationError("no such provider")),
    ("authentication", dspy_errors.LMNotConfiguredError("no key")),
    ("other", RuntimeError("engine")),
]


@pytest.mark.parametrize(("kind", "error"), LOCAL, ids=[f"{kind} {type(error).__name__}" for kind, error in LOCAL])
def test_what_never_reached_a_provider(kind: str, error: Exception) -> None:
    assert kind_of(error) == kind
    assert not shows_life(error, kind_of(error))


def test_what_is_of_one_request_is_not_lasting() -> None:
    assert not any(is_lasting(kind) for kind in OF_ONE_REQUEST)
    for error, alive in ((INVALID("x", status=400), True), (AUTH("x", status=401), False)):
        assert shows_life(error, kind_of(error)) == alive


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    error.__cause__ = cause
    return error


LONG, FULL = INVALID("prompt is too long", status=400), LIMIT("Rate limit reached", status=429)
BEHIND: list[tuple[str | None, BaseException]] = [
    ("context_too_long", LONG),
    ("context_too_long", raised(RuntimeError("does not fit"), LONG)),
    ("context_too_long", raised(AssertionError(), raised(RuntimeError(), LONG))),
    ("content_refused", raised(AssertionError(), AUTH("your input was flagged", status=403))),
    (None, FULL),
    (None, raised(RuntimeError(), FULL)),
    (None, AUTH("x", status=401)),
    (None, ValueError("max() arg is an empty sequence")),
    (None, raised(RuntimeError(), TypeError("x"))),
]


@pytest.mark.parametrize(("kind", "error"), BEHIND, ids=[f"{kind} {error!r}" for kind, error in BEHIND])
def test_an_error_that_a_refused_request_is_behind(kind: str | None, error: BaseException) -> None:
    assert refusal_behind(error) == kind


def test_the_search_for_a_cause_ends_in_a_circle_of_causes() -> None:
    first, second = RuntimeError(1), RuntimeError(2)
    first.__cause__, second.__cause__ = second, first
    assert refusal_behind(first) is None
