"""An embedder of the job: asked natively or through LiteLLM, counted, kept, watched and waited for like any model."""

import asyncio
import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dspy
import numpy
import pytest
from dspy.utils.exceptions import LMError

from dspy_service_core.records.call_lines import Tally
from dspy_service_runner.optimizer.models import base_url_query
from dspy_service_runner.optimizer.models.embedders import CountedEmbedder
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.model_errors import kind_of
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.models.spending.spent import Spent
from dspy_service_runner.optimizer.outbox import AppendFile
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import TICKETS, ScriptedServer
from scripted_model import embedding

MODEL = "openai/embedding"
Make = Callable[..., CountedEmbedder]


class Counting:
    """A gate that lets all through at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def call(self, lm: Any, _prepared: Any, once: Callable[[], None], told: Callable[[], Spent | None]) -> None:
        call = self._ledger.begin(lm)
        try:
            once()
        except Exception:
            self._ledger.failed(call)
            raise
        self._ledger.answered(call, told() or Spent())

    def remembered(self, lm: Any) -> None:
        self._ledger.hit(lm)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Tally(), lambda _line: None)


@pytest.fixture
def make(server: ScriptedServer, ledger: Ledger, tmp_path: Path) -> Iterator[Make]:
    """Embedders of one process of a job, whose journal is empty."""
    before, dspy.cache = dspy.cache, JournalCache(tmp_path / "none", AppendFile(tmp_path / "calls.jsonl"))

    def made(url: str = "", **settings: Any) -> CountedEmbedder:
        connection = {"api_base": url or server.url, "api_key": "sk-1"}
        embedder = CountedEmbedder("near", MODEL, {"num_retries": 0, **connection, **settings})
        embedder.gate = Counting(ledger)
        return embedder

    yield made
    dspy.cache = before


def expected(*texts: str) -> Any:
    return numpy.array([embedding(text) for text in texts], dtype=numpy.float32)


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_it_answers_as_dspy_s_embedder_does(engine: str, make: Make) -> None:
    embedder = make(engine=engine)
    one, many = embedder("a b"), embedder(["a b", "c"])

    assert isinstance(embedder, dspy.Embedder)
    assert (one.dtype, one.shape, many.shape) == (numpy.float32, (64,), (2, 64))
    assert numpy.array_equal(one, expected("a b")[0])
    assert numpy.array_equal(many, expected("a b", "c"))
    assert numpy.array_equal(asyncio.run(embedder.acall(["a b", "c"])), many)


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_calls_and_tokens_are_those_of_the_server(
    engine: str, make: Make, server: ScriptedServer, ledger: Ledger
) -> None:
    embedder = make(engine=engine, batch_size=2)
    embedder([f"text number {number}" for number in range(5)])
    total = ledger.total()

    assert (total.calls, total.prompt_tokens) == (server.stats.calls, server.stats.prompt_tokens)
    assert (total.calls, total.completion_tokens, total.cached_calls) == (3, 0, 0)


def test_what_was_asked_before_is_not_asked_again(make: Make, server: ScriptedServer, ledger: Ledger) -> None:
    embedder = make()
    first, again = embedder(["a", "b"]), embedder(["a", "b"])
    assert numpy.array_equal(first, again)
    assert server.stats.calls == 1
    assert (ledger.total().calls, ledger.total().cached_calls) == (1, 1)
    embedder(["a", "b"], caching=False)
    make(dimensions=8)(["a", "b"])
    assert server.stats.calls == 3, "neither without the cache nor with other settings"


SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"model": "embedding", "input": ["a"]}),
    ({"dimensions": 8}, {"dimensions": 8}),
    ({"extra_body": {"input_type": "query"}}, {"input_type": "query"}),
    ({"encoding_format": "float", "user": "u"}, {"encoding_format": "float", "user": "u"}),
]


@pytest.mark.parametrize(("settings", "sent"), SENT)
def test_what_is_sent(settings: dict[str, Any], sent: dict[str, Any], make: Make, server: ScriptedServer) -> None:
    server.keep_requests = True
    make(**settings, timeout=5)(["a"])
    request = server.requests[0]["request"]
    assert sent.items() <= request.items()
    assert not {"api_key", "api_base", "timeout", "num_retries"} & request.keys()
    assert server.requests[0]["auth"] == "sk-1"


def test_only_new_texts_are_asked_for(make: Make, server: ScriptedServer) -> None:
    server.keep_requests = True
    embedder = make()
    embedder(["a", "b"])
    assert numpy.array_equal(embedder(["b", "c", "b", "a"]), expected("b", "c", "b", "a"))
    assert [entry["request"]["input"] for entry in server.requests] == [["a", "b"], ["c"]]


def test_a_lone_surrogate_is_sent_as_valid_text(make: Make, server: ScriptedServer) -> None:
    server.keep_requests = True
    make()(["half \ud83d"])
    assert server.requests[0]["request"]["input"] == ["half \ufffd"]


BY_LITELLM = {"refuse": "server_error", "garbage": "server_error"}
"""What LiteLLM makes of them before we see them."""
FAILURES: list[tuple[str, str]] = [
    ("400", "rejected_request"),
    ("401", "authentication"),
    ("402", "billing"),
    ("404", "unknown_model"),
    ("413", "context_too_long"),
    ("429", "rate_limited"),
    ("500", "server_error"),
    ("refuse", "unreachable"),
    ("garbage", "other"),
]


@pytest.mark.parametrize("engine", ["auto", "litellm"])
@pytest.mark.parametrize(("fault", "kind"), FAILURES)
def test_errors_are_those_of_all_models(fault: str, kind: str, engine: str, make: Make, server: ScriptedServer) -> None:
    with pytest.raises(LMError) as raised:
        make(server.url_of(fault), engine=engine)("a")
    assert kind_of(raised.value) == (BY_LITELLM.get(fault, kind) if engine == "litellm" else kind)


def test_an_error_that_passes_is_asked_again(make: Make, server: ScriptedServer, ledger: Ledger) -> None:
    server.fail_every(2, "503")
    embedder = make(num_retries=1)
    for text in ("a", "b", "c"):
        embedder(text)
    assert server.stats.failed > 0
    assert ledger.total().calls == server.stats.calls


def test_a_saved_program_holds_dspy_s_embedder_without_the_key(make: Make) -> None:
    embedder = make(dimensions=8, extra_headers={"X-Key": "sk-2"})
    assert copy.deepcopy(embedder) is embedder
    saved = pickle.dumps(embedder)
    assert b"sk-" not in saved
    assert b"dspy_service" not in saved
    loaded = pickle.loads(saved)
    assert type(loaded) is dspy.Embedder
    assert (loaded.model, loaded.default_kwargs) == (MODEL, {"dimensions": 8})


def test_the_query_of_a_base_url_comes_behind_the_path(make: Make, server: ScriptedServer) -> None:
    url = f"{server.url}?api-version=1"
    assert base_url_query.query_last(f"{url}/embeddings") == f"{server.url}/embeddings?api-version=1"


SEARCH = {"name": MODEL, "modelType": "embedding"}
COSINE = """
import numpy
def metric(gold, pred, trace=None):
    one, other = models["search"]([gold.label, pred.label])
    return float(one @ other / (numpy.linalg.norm(one) * numpy.linalg.norm(other)))
"""
RETRIEVAL = """
CORPUS = ["billing money charged", "technical crashes app", "account password log", "shipping parcel arrived"]
nearest = dspy.retrievers.Embeddings(corpus=CORPUS, embedder=models["search"], k=1)
def metric(gold, pred, trace=None):
    return nearest(gold.text).passages[0].split()[0] == pred.label
"""


def job(server: ScriptedServer, folder: Path, search: str = "", code: str = COSINE, rows: Any = TICKETS) -> Folders:
    further = {"search": {**SEARCH, "baseUrl": search or server.url}}
    return make_folders(folder, make_spec(server.url, modelConfigs=further, metric={"code": code}), rows)


@pytest.mark.parametrize("code", [COSINE, RETRIEVAL], ids=["cosine", "retrieval"])
def test_a_metric_uses_it_with_its_key(
    code: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    with ScriptedServer() as searched:
        folders = job(server, tmp_path / "job", searched.url, code)
        result = forge.run(folders, DSPY_SERVICE_KEY_SEARCH="sk-of-search-0123")

        assert result["outcome"] == "Succeeded", result["message"]
        assert set(searched.stats.by_auth) == {"sk-of-search-0123"}
        assert searched.stats.by_kind["embedding"] == searched.stats.calls > 3
        assert result["usage"]["calls"] == searched.stats.calls + server.stats.calls
        assert result["usage"]["promptTokens"] == searched.stats.prompt_tokens + server.stats.prompt_tokens
    assert result["optimizedScore"] > 0


def test_a_second_attempt_finds_its_answers_in_the_journal(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = job(server, tmp_path / "first", code=RETRIEVAL)
    first = forge.run(folders)
    calls = server.stats.calls
    second = forge.run(next_attempt(folders, tmp_path / "second"))

    assert server.stats.calls == calls
    assert second["usage"]["calls"] == first["usage"]["calls"], "those of the first attempt"
    assert second["usage"]["cachedCalls"] > 0
    assert (second["baselineScore"], second["optimizedScore"]) == (first["baselineScore"], first["optimizedScore"])


DEAD = [
    ("401", "ModelAuthFailed", "failed"),
    ("404", "ModelUnknown", "failed"),
    ("refuse", "ModelUnreachable", "could not be reached"),
    ("garbage", "ModelFailed", "failed"),
]


@pytest.mark.parametrize(("fault", "reason", "said"), DEAD)
def test_the_preflight_asks_it_once(
    fault: str, reason: str, said: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(job(server, tmp_path / "job", server.url_of(fault)))
    assert (result["outcome"], result["reason"]) == ("Failed", reason)
    assert f"The search model {MODEL} at {server.url_of(fault)} {said}: " in result["message"]
    assert server.stats.by_kind["task"] == 0, "before anything else was paid for"


LENIENT = """
def metric(gold, pred, trace=None):
    try:
        return float(models["search"](gold.label + pred.label).sum() > 0)
    except Exception:
        return 0.0
"""


def test_one_that_dies_half_way_ends_the_run_whatever_the_metric_swallows(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    with ScriptedServer() as searched:
        searched.fail_from(4, "401")
        rows = [{"text": f"row {number}", "label": str(number)} for number in range(80)]
        result = forge.run(job(server, tmp_path / "job", searched.url, LENIENT, rows=rows))
    assert (result["outcome"], result["reason"]) == ("Failed", "ModelAuthFailed"), result["message"]
    assert "The search model" in result["message"]


def test_refused_calls_are_waited_for(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    with ScriptedServer() as searched:
        searched.fail_every(2, "429")
        result = forge.run(job(server, tmp_path / "job", searched.url))
        assert searched.stats.failed > 0
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["details"]["metric_errors"] == 0


def test_one_that_stays_limited_ends_the_job(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = job(server, tmp_path / "job", server.url_of("429"))
    result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_PREFLIGHT_PATIENCE="0.1")
    assert (result["outcome"], result["reason"]) == ("Failed", "ModelRateLimited")
    assert "The search model" in result["message"]
