"""Embedding models of a job: each is a `dspy.Embedder` whose calls go the way of all other models' calls.

dspy's own embedder always asks through LiteLLM, which a slim runner does not have, and past all that watches, counts,
keeps and waits for model calls. Here OpenAI's endpoint and those like it are asked by dspy's own client, and LiteLLM
only where it is needed.
"""

import asyncio
import importlib.util
import time
from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Protocol, Self
from uuid import uuid4

import dspy
import orjson
from dspy._vendor.lm15.transports._sync import StdlibTransport
from dspy.clients._litellm import get_litellm
from dspy.clients.engines.litellm_errors import litellm_errors
from dspy.clients.errors import error_boundary
from dspy.clients.execution import IGNORED_CACHE_KEYS, _delay
from dspy.clients.legacy_outputs import value
from dspy.lm15 import OpenAIChatLM, ProviderError
from dspy.utils.exceptions import is_retryable_lm_error

from dspy_service_core.checks.models.credentials import public_url, withhold
from dspy_service_core.records.values import count_of
from dspy_service_runner.optimizer.json_form import valid_unicode
from dspy_service_runner.optimizer.models.spending.prices import GivenPrices, cost_of, embedding_cost
from dspy_service_runner.optimizer.models.spending.spent import Spent

_NATIVE = ("openai", "hosted_vllm")
"""Prefixes of models that are asked at `/embeddings`, as OpenAI's are."""
_NEVER_SENT = ("api_key", "api_base", "api_version", "timeout", "extra_headers", "headers", "extra_body")

Answer = tuple[Sequence[Sequence[float]], Spent]


class Gate(Protocol):
    """Where calls leave: waits until the model's rate limit lets one through, and counts it."""

    def call(self, lm: Any, prepared: Any, once: Callable[[], None], told: Callable[[], Spent | None]) -> None: ...

    def remembered(self, lm: Any) -> None: ...


class _Open:
    """The gate of an embedder that belongs to no job."""

    def call(self, lm: Any, prepared: Any, once: Callable[[], None], told: Callable[[], Spent | None]) -> None:
        once()

    def remembered(self, lm: Any) -> None:
        pass


class NeedsLiteLLM(Exception):
    """The model is asked through LiteLLM, which is not installed."""


class CountedEmbedder(dspy.Embedder):  # type: ignore[misc]  # dspy is untyped
    watched_as_model = True

    def __init__(self, role: str, model: str, settings: Mapping[str, Any], prices: GivenPrices | None = None) -> None:
        kwargs = dict(settings)
        self.role, self.prices = role, prices
        self.num_retries = int(kwargs.pop("num_retries", 3))
        self.gate: Gate = _Open()
        native = model.partition("/")[0] in _NATIVE and kwargs.pop("engine", "auto") != "litellm"
        super().__init__(model, kwargs.pop("batch_size", 200), kwargs.pop("caching", True), **kwargs)
        self._ask = _Native(model, kwargs) if native else _through_litellm(model)

    @property
    def kwargs(self) -> dict[str, Any]:
        """By which an LM is known, and so an embedder: its endpoint and its key."""
        return dict(self.default_kwargs)

    def __call__(self, inputs: Any, batch_size: int | None = None, caching: bool | None = None, **kwargs: Any) -> Any:
        batches, caching, options, single = self._preprocess(inputs, batch_size, caching, **kwargs)
        found = [each for batch in batches for each in self._embed(batch, caching, options, self.num_retries)]
        return self._postprocess(found, single)

    async def acall(self, inputs: Any, *arguments: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self, inputs, *arguments, **kwargs)

    def check(self, text: str) -> None:
        """Asks for one embedding, without all the retries."""
        self._embed([text], self.caching, self.default_kwargs, min(self.num_retries, 1))

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        """In a saved program it is dspy's own embedder, without credentials."""
        return dspy.Embedder, (self.model, self.batch_size, self.caching), {"default_kwargs": self._public}

    @property
    def _public(self) -> dict[str, Any]:
        shown = {name: value for name, value in self.default_kwargs.items() if name != "api_base"}
        return dict(withhold({"extra": shown}).public["extra"])

    def record(self) -> dict[str, Any]:
        """What dspy's own embedder takes to be the same, without credentials."""
        base = self.default_kwargs.get("api_base")
        return {"model": self.model, **self._public, **({"api_base": public_url(base)} if base else {})}

    def _embed(self, texts: list[str], caching: bool, options: Mapping[str, Any], retries: int) -> list[Any]:
        """Each text is kept by itself, because what is asked for together may depend on the threads' timing."""
        if not caching:
            return self._watched(valid_unicode(texts), options, retries)
        requests = {
            text: {"_fn_identifier": "dspy_service.embed", "model": self.model, "input": text, **options}
            for text in valid_unicode(texts)
        }
        kept = {text: dspy.cache.get(request, IGNORED_CACHE_KEYS) for text, request in requests.items()}
        found = {text: _floats(vector) for text, vector in kept.items() if vector is not None}
        missing = [text for text in requests if text not in found]
        if not missing:
            self.gate.remembered(self)
        for text, vector in zip(missing, self._watched(missing, options, retries) if missing else (), strict=True):
            dspy.cache.put(requests[text], b64encode(vector.tobytes()).decode(), IGNORED_CACHE_KEYS)
            found[text] = vector
        return [found[text] for text in valid_unicode(texts)]

    def _watched(self, texts: list[str], options: Mapping[str, Any], retries: int) -> list[Any]:
        with _told(self):
            return self._asked(texts, options, retries)

    def _asked(self, texts: list[str], options: Mapping[str, Any], retries: int) -> list[Any]:
        call = SimpleNamespace()
        found: list[Any] = []
        spent: list[Spent] = []

        def once() -> None:
            vectors, told = self._ask(texts, options)
            spent.append(replace(told, cost_usd=cost_of(self, told, None, embedding_cost(self, told))))
            if len(vectors) != len(texts):
                raise ProviderError(f"the model was given {len(texts)} texts and answered {len(vectors)} embeddings")
            found.extend(array("f", vector) for vector in vectors)

        for attempt in range(retries + 1):
            try:
                with error_boundary(self.model, unexpected=True):
                    self.gate.call(self, call, once, lambda: spent[-1] if spent else None)
                break
            except Exception as error:
                spent.clear()
                if attempt == retries or not is_retryable_lm_error(error):
                    raise
                time.sleep(_delay(error, attempt))
        return found


@contextmanager
def _told(embedder: CountedEmbedder) -> Iterator[None]:
    """Tells those of our callbacks that watch models. Others, of the user's code, expect the messages of an LM."""
    watches = [each for each in dspy.settings.callbacks if getattr(each, "watches_embedders", False)]
    call_id, error = uuid4().hex, None
    for watch in watches:
        watch.on_lm_start(call_id, embedder, {})
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        for watch in watches:
            watch.on_lm_end(call_id, None, error)


class _Native:
    """Asks by the client with which dspy asks OpenAI's and similar language models."""

    def __init__(self, model: str, settings: Mapping[str, Any]) -> None:
        timeout = settings.get("timeout")
        transport = StdlibTransport() if timeout is None else StdlibTransport(read_timeout=float(timeout))
        endpoint = {"base_url": settings["api_base"]} if settings.get("api_base") else {}
        self._name = model.partition("/")[2]
        self._client = OpenAIChatLM(api_key=settings.get("api_key"), transport=transport, **endpoint)

    def __call__(self, texts: list[str], options: Mapping[str, Any]) -> Answer:
        sent = {name: value for name, value in options.items() if name not in _NEVER_SENT and value is not None}
        headers = (options.get("headers") or {}) | (options.get("extra_headers") or {})
        request = self._client._emit(
            method="POST",
            url=f"{self._client.base_url.rstrip('/')}/embeddings",
            headers={**dict(self._client._headers()), **headers},
            payload={"model": self._name, "input": texts, **sent, **(options.get("extra_body") or {})},
        )
        response = self._client._send(request)
        if response.status >= 400:
            raise self._client._http_error(response)
        return _read(response.text())


def _read(text: str) -> Answer:
    try:
        document = orjson.loads(text)
        ordered = sorted(document["data"], key=lambda entry: entry.get("index", 0))
        vectors = [_vector(entry["embedding"]) for entry in ordered]
        return vectors, _spent(document.get("usage"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProviderError(f"the model's answer is no list of embeddings: {text[:200]}") from error


def _spent(usage: Any) -> Spent:
    """Embedding models write nothing."""
    tokens = count_of(value(usage, "prompt_tokens")) or None
    return Spent(tokens, None if tokens is None else 0)


def _vector(embedding: Any) -> Sequence[float]:
    """Providers that are asked for `encoding_format: base64` send text."""
    return _floats(embedding) if isinstance(embedding, str) else [float(number) for number in embedding]


def _floats(text: str) -> Any:
    return array("f", b64decode(text))


def _through_litellm(model: str) -> Callable[[list[str], Mapping[str, Any]], Answer]:
    if importlib.util.find_spec("litellm") is None:
        raise NeedsLiteLLM

    def ask(texts: list[str], options: Mapping[str, Any]) -> Answer:
        with litellm_errors(model=model):
            response = get_litellm(feature="dspy.Embedder").embedding(model=model, input=texts, **options)
        return [entry["embedding"] for entry in response.data], _spent(getattr(response, "usage", None))

    return ask
