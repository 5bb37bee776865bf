"""Finds credentials in a model's settings by the contract's rule, takes them out, and puts them back.

They are taken out before anything is stored: the public part goes into the resource, the withheld part into the job's
Secret, and the runner merges the two.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

_WORDS = frozenset(
    {"key", "apikey", "token", "secret", "password", "credential", "authorization"}
    # as LiteLLM's vertex_credentials
    | {"credentials"}
)
_HEADERS = "headers"
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CASE = re.compile(r"[A-Z]+|[a-z]+")
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Split:
    """`public` goes into the resource; `withheld` is `{"base_url": ..., "extra": ...}`, and empty if there were no
    credentials."""

    public: dict[str, Any]
    withheld: dict[str, Any]


def withhold(config: Mapping[str, Any]) -> Split:
    """Splits a model config with `base_url` and `extra`. In lists, a null keeps the place of what was taken out."""
    withheld: dict[str, Any] = {}
    public = dict(config)
    if url := config.get("base_url"):
        public["base_url"] = public_url(url)
        if public["base_url"] != url:
            withheld["base_url"] = url
    kept, taken = _split(config.get("extra") or {}, withhold_strings=False)
    if taken is not _NOTHING:
        public["extra"], withheld["extra"] = kept, taken
    return Split(public, withheld)


def merge(public: Any, withheld: Any) -> Any:
    """Puts the withheld values back in their places."""
    if isinstance(public, dict) and isinstance(withheld, dict):
        return {**public, **{name: merge(public.get(name), value) for name, value in withheld.items()}}
    if isinstance(public, list) and isinstance(withheld, list):
        return [merge(old, new) for old, new in zip(public, withheld, strict=True)]
    return public if withheld is None else withheld


def restored(config: Mapping[str, Any], withheld: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it was before `withhold`."""
    return {str(name): value for name, value in merge(dict(config), dict(withheld)).items()}


def public_url(url: str) -> str:
    """Without user part, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def user_part(url: str) -> str:
    """`user:password` with its percent-encoding resolved; empty where there is none."""
    return unquote(urlsplit(url).netloc.rpartition("@")[0])


def without_user_part(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def paths(value: Any, path: str) -> Iterator[str]:
    """The paths of the credentials in `value`, where `path` is the client's name for the value itself."""
    _, taken = _split(value, withhold_strings=False)
    if taken is not _NOTHING:
        yield from _leaves(taken, path)


def config_paths(config: Mapping[str, Any], path: str) -> Iterator[str]:
    withheld = withhold(config).withheld
    if "base_url" in withheld:
        yield f"{path}.base_url"
    yield from _leaves(withheld.get("extra", {}), f"{path}.extra")


def is_credential_name(name: str) -> bool:
    return not _WORDS.isdisjoint(words(name))


def holds_headers(name: str) -> bool:
    return _HEADERS in words(name)


def words(name: str) -> set[str]:
    """The words of `apiKey`, `x-api-key` or `API_KEY`: split at `_`, at `-` and where the case changes. `APIkey` is
    split in both possible ways, as AP-Ikey and as API-key."""
    return {word.lower() for word in _CAMEL.findall(name) + _CASE.findall(name)}


def _split(value: Any, *, withhold_strings: bool) -> tuple[Any, Any]:
    """The public part and the withheld part; `_NOTHING` for one that does not exist."""
    if isinstance(value, Mapping):
        return _split_object(value, withhold_strings)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _split_list(value, withhold_strings)
    if withhold_strings and isinstance(value, str):
        return _NOTHING, value
    return value, _NOTHING


def _split_object(value: Mapping[str, Any], withhold_strings: bool) -> tuple[Any, Any]:
    kept, taken = {}, {}
    for name, item in value.items():
        if holds_headers(name) and item is not None:
            taken[name] = item
            continue
        public, secret = _split(item, withhold_strings=withhold_strings or is_credential_name(name))
        if public is not _NOTHING:
            kept[name] = public
        if secret is not _NOTHING:
            taken[name] = secret
    return kept, taken or _NOTHING


def _split_list(value: Sequence[Any], withhold_strings: bool) -> tuple[Any, Any]:
    pairs = [_split(item, withhold_strings=withhold_strings) for item in value]
    if all(secret is _NOTHING for _, secret in pairs):
        return list(value), _NOTHING
    kept = [None if public is _NOTHING else public for public, _ in pairs]
    return kept, [None if secret is _NOTHING else secret for _, secret in pairs]


def _leaves(taken: Any, path: str) -> Iterator[str]:
    if isinstance(taken, Mapping):
        for name, item in taken.items():
            yield from _leaves(item, f"{path}.{name}")
    elif isinstance(taken, list):
        for index, item in enumerate(taken):
            yield from _leaves(item, f"{path}[{index}]")
    elif taken is not None:
        yield path
