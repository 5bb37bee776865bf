"""Rules for single values of a request. Each raises with the message that the client reads."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from dspy_service_core.resource.names import (
    GROUP,
    JOB_NAME_PATTERN,
    LEAST_PREFIX,
    MODEL_NAME_PATTERN,
    MODEL_ROLES,
    MOST_SECRET_NAME,
    SECRET_NAME_PATTERN,
    SYSTEM_NAME_PATTERN,
    reads_as_id,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLANK_OR_BACKSLASH = re.compile(r"[\s\\]")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_TOLERANCE = 1e-6

OWN_FIELDS: Mapping[str, str] = {
    "model": "name",
    "name": "name",
    "api_base": "base_url",
    "base_url": "base_url",
    "model_type": "model_type",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "top_p": "top_p",
}
"""The fields of a model config, by the names that they would have in `extra`, where they are refused: a setting must
not have two sources, and a `base_url` in `extra` would escape the rule on which endpoints get the service's own keys.
"""


def problem(kind: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{text}", {"text": text})


def no_control_characters(value: str) -> str:
    if _CONTROL.search(value):
        raise problem("control_characters", "Should hold no control characters")
    return value


def number(value: Any) -> Any:
    """Refuses text and booleans, which pydantic would convert: JSON has numbers."""
    if isinstance(value, bool | str):
        raise problem("number_type", "Input should be a number")
    return value


def disjoint(inputs: Iterable[str], outputs: Iterable[str]) -> None:
    shared = sorted(set(inputs) & set(outputs))
    if shared:
        listed = ", ".join(f"'{column}'" for column in shared)
        raise problem("mapping_overlap", f"Inputs and outputs share {_plural(shared, 'column')} {listed}")


def whole(train: float, val: float, test: float) -> None:
    total = train + val + test
    if abs(total - 1) > _TOLERANCE:
        raise problem("fractions_sum", f"train, val and test should sum to 1; they sum to {total:.10g}")


def base_url(value: str) -> str:
    no_control_characters(value)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or _BLANK_OR_BACKSLASH.search(value):
        raise problem("url", "Should be an http or https URL with a host, such as http://localhost:11434/v1")
    return value


def extra(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        no_control_characters(name)
        if name in OWN_FIELDS:
            raise problem("extra_reserved", f"'{name}' is no extra: use the model config's field '{OWN_FIELDS[name]}'")
    return value


def one_limit(max_tokens: int | None, extra: Mapping[str, Any]) -> None:
    """`max_completion_tokens` is the same limit under the name that some models insist on."""
    if max_tokens is not None and "max_completion_tokens" in extra:
        raise problem("two_limits", "max_tokens and extra.max_completion_tokens are one limit: give one of them")


def embedder(*sampling: float | None) -> None:
    if any(given is not None for given in sampling):
        raise problem("embedder", "An embedding model takes no temperature, max_tokens and top_p")


def model_name(value: str) -> str:
    if not re.fullmatch(MODEL_NAME_PATTERN, value):
        raise problem("model_name", "Names of models are a to z, then up to 30 of a to z, 0 to 9 and _")
    if value in MODEL_ROLES:
        raise problem("model_name", f"'{value}' is the name of a role: choose another, or give {value!r} by its field")
    return value


def secret_name(value: str) -> str:
    if not re.fullmatch(SECRET_NAME_PATTERN, value):
        text = f"A to Z, 0 to 9 and _, no digit first, up to {MOST_SECRET_NAME}"
        raise problem("secret_name", f"Names of secrets are those of environment variables: {text}")
    if re.search(SYSTEM_NAME_PATTERN, value):
        text = f"'{value}' is a variable of the system's or the service's own: choose another name"
        raise problem("secret_name", text)
    return value


def secret_value(value: str) -> str:
    if "\0" in value:
        raise problem("secret_value", "Should hold no null character: no environment variable can")
    return value


def exactly_one(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise problem("exactly_one", f"Should hold exactly one of {', '.join(given)}")


def job_name(value: str) -> str:
    if not re.fullmatch(JOB_NAME_PATTERN, value):
        text = "1 to 63 of a to z, 0 to 9, '-' and '.', beginning and ending with a letter or digit"
        raise problem("job_name", f"Names of jobs are {text}")
    if reads_as_id(value):
        text = f"it could be meant for a job's id, which {LEAST_PREFIX} characters of 0 to 9 and a to f begin"
        raise problem("job_name", f"'{value}' is no name for a job: {text}; put a word before it, as in 'run-{value}'")
    return value


def labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix))):
            raise problem("label_key", f"{key[:80]!r} is no label key of Kubernetes")
        if _reserved(prefix):
            raise problem("label_reserved", f"{key[:80]!r}: labels of '{prefix}' are reserved")
        if text and not _LABEL_NAME.fullmatch(text):
            raise problem("label_value", f"The value of {key[:80]!r} is no label value of Kubernetes")
    return value


def _reserved(prefix: str) -> bool:
    return any(prefix == own or prefix.endswith(f".{own}") for own in (GROUP, "kubernetes.io", "k8s.io"))


def _plural(things: list[str], word: str) -> str:
    return word if len(things) == 1 else f"{word}s"
