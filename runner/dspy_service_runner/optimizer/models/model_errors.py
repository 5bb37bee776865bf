"""What a model's error means: that it refused this one request, or that the next call will fail as well.

dspy's own error classes are looked at first, but do not tell everything: providers also report an empty account, a
wrong key or an unknown model as a plain 400, a text that they refuse as 403, and one that is too long as 429 or 413.
Then the words of the message decide.
"""

import re
import socket
from collections.abc import Iterator, Mapping

from dspy import lm15
from dspy._vendor.lm15.transports import ConnectError
from dspy.utils import exceptions as lm_errors

_NOT_FOUND, _TOO_LARGE = 404, 413
_NOT_SENT = (ConnectError, ConnectionRefusedError, socket.gaierror)
"""Behind the errors of calls that never reached a model."""

CONTEXT_TOO_LONG, CONTENT_REFUSED = "context_too_long", "content_refused"
NOT_ENCODABLE, REJECTED_REQUEST = "not_encodable", "rejected_request"
UNSUPPORTED_FEATURE, OTHER = "unsupported_feature", "other"
AUTHENTICATION, BILLING, UNKNOWN_MODEL = "authentication", "billing", "unknown_model"
CONFIGURATION, UNREACHABLE, TIMEOUT = "configuration", "unreachable", "timeout"
RATE_LIMITED, SERVER_ERROR = "rate_limited", "server_error"

OF_ONE_REQUEST = frozenset({CONTEXT_TOO_LONG, CONTENT_REFUSED, NOT_ENCODABLE, REJECTED_REQUEST, UNSUPPORTED_FEATURE})
"""Errors after which another request may well be answered. Even many in a row do not mean that the model is dead."""
_LASTING = frozenset({AUTHENTICATION, BILLING, UNKNOWN_MODEL, CONFIGURATION, UNREACHABLE})

REASONS: Mapping[str, str] = {
    **dict.fromkeys(OF_ONE_REQUEST, "ModelRejectedRequest"),
    AUTHENTICATION: "ModelAuthFailed",
    BILLING: "ModelBillingFailed",
    UNKNOWN_MODEL: "ModelUnknown",
    CONFIGURATION: "InvalidModel",
    UNREACHABLE: "ModelUnreachable",
    TIMEOUT: "ModelUnreachable",
    RATE_LIMITED: "ModelRateLimited",
    SERVER_ERROR: "ModelFailed",
    OTHER: "ModelFailed",
}
"""The reason of a job's failure, by the kind of error that ended it."""
DISOWNED = frozenset(REASONS[kind] for kind in (AUTHENTICATION, BILLING, UNKNOWN_MODEL))
"""Reasons that neither waiting nor another request helps against. An unreachable model is not among them, since it may
come back."""

_Table = tuple[tuple[type[Exception], str], ...]
_BY_TYPE: _Table = (
    (lm_errors.ContextWindowExceededError, CONTEXT_TOO_LONG),
    (lm_errors.LMBillingError, BILLING),
    (lm_errors.LMUnsupportedModelError, UNKNOWN_MODEL),
    (lm_errors.LMUnsupportedFeatureError, UNSUPPORTED_FEATURE),
    (lm_errors.LMAuthError, AUTHENTICATION),
    (lm_errors.LMNotConfiguredError, AUTHENTICATION),
    (lm_errors.LMConfigurationError, CONFIGURATION),
    (lm_errors.LMRateLimitError, RATE_LIMITED),
    (lm_errors.LMInvalidRequestError, REJECTED_REQUEST),
    (lm_errors.LMTimeoutError, TIMEOUT),
    (lm_errors.LMServerError, SERVER_ERROR),
    (lm_errors.LMTransportError, UNREACHABLE),
    (lm_errors.LMError, OTHER),
    (UnicodeError, NOT_ENCODABLE),
    (ValueError, REJECTED_REQUEST),  # dspy's own refusals, before anything is sent
    (TypeError, REJECTED_REQUEST),
)


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_TOO_LONG = _words(
    r"context[ _-]?(length|window|size)",
    r"maximum context",
    r"too many (input |prompt )?tokens",
    r"(prompt|input|request|message|text|string)\w*( \S+){0,3} too (long|large)",
    r"exceeds? (the )?(maximum|max|limit)\b.{0,40}\b(tokens?|length|characters)",
)
_REFUSED = _words(
    r"content[ _-]?(policy|filter|management|moderation)",
    r"moderation",
    r"\bflagged\b",
    r"safety (system|polic|filter|setting)",
    r"responsible ?ai",
    r"usage polic",
    r"prohibited content",
    r"(prompt|candidate) blocked",
    r"^(image_)?(safety|prohibited_content|blocklist|spii) ",
)
_INPUT_REFUSED = _words(
    r"(input|prompt|content|message)\S*( \S+){0,4} (flagged|blocked)", r"content[ _-]?(policy|filter|moderation)"
)
"""Words of a 403 that refuses one text. Other words may mean that the account was flagged, which does not pass."""
_TOO_LARGE_FOR_THE_LIMIT = _words(r"request too large")
"""A 429 that waiting does not help against: the request alone has more tokens than a minute allows."""
_NO_MONEY = _words(r"credit balance", r"insufficient[ _](funds|balance|quota|credits?)", r"exceeded your current quota")
_WRONG_KEY = _words(r"api[ _-]?key[ _](is )?(not valid|invalid|expired)", r"invalid api[ _-]?key", r"incorrect api key")
_NO_MODEL = _words(r"not a valid model", r"model\S*( \S+){1,3} (does not exist|not found)", r"(unknown|no such) model")
_NOT_UNICODE = _words(r"not valid unicode", r"surrogate", r"codec can't encode")

_BY_WORDS: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    REJECTED_REQUEST: (
        (_NOT_UNICODE, NOT_ENCODABLE),
        (_NO_MONEY, BILLING),
        (_WRONG_KEY, AUTHENTICATION),
        (_TOO_LONG, CONTEXT_TOO_LONG),
        (_REFUSED, CONTENT_REFUSED),
        (_NO_MODEL, UNKNOWN_MODEL),
    ),
    AUTHENTICATION: ((_INPUT_REFUSED, CONTENT_REFUSED),),
    RATE_LIMITED: ((_TOO_LARGE_FOR_THE_LIMIT, CONTEXT_TOO_LONG),),
    SERVER_ERROR: ((_TOO_LONG, CONTEXT_TOO_LONG),),
    OTHER: ((_TOO_LONG, CONTEXT_TOO_LONG), (_REFUSED, CONTENT_REFUSED)),
}
"""For kinds that are only roughly right: the better kind, by the words of the provider."""


def kind_of(error: BaseException) -> str:
    status = getattr(error, "status", None)
    if status == _NOT_FOUND:
        return UNKNOWN_MODEL
    if status == _TOO_LARGE:
        return CONTEXT_TOO_LONG
    kind = next((kind for cls, kind in _BY_TYPE if isinstance(error, cls)), OTHER)
    said = f"{getattr(error, 'provider_code', None) or ''} {error}"
    return next((better for words, better in _BY_WORDS.get(kind, ()) if words.search(said)), kind)


def unseen(error: BaseException) -> bool:
    """Whether the call may have reached the model all the same, which may have answered it."""
    if not isinstance(error, Exception):
        return True  # this thread was interrupted as it waited
    if isinstance(error, lm15.TransportError):
        return not any(isinstance(cause, _NOT_SENT) for cause in _chain(error))
    return isinstance(error, TimeoutError)


def is_lasting(kind: str) -> bool:
    """Whether the next call will fail in the same way."""
    return kind in _LASTING


def shows_life(error: BaseException, kind: str) -> bool:
    """Whether the provider itself refused one request: then it can be reached and accepts the key."""
    return getattr(error, "status", None) is not None and kind in OF_ONE_REQUEST


def refusal_behind(error: BaseException) -> str | None:
    """The kind of a refused request that an error is, or that it was raised because of; None if there was none.

    Only dspy's own errors of models count: a `ValueError` somewhere in an optimizer is that optimizer's fault.
    """
    for cause in _chain(error):
        if isinstance(cause, lm_errors.LMError) and (kind := kind_of(cause)) in OF_ONE_REQUEST:
            return kind
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised because of."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
