"""What ends a stage: errors that the next call meets too, and none that are of one request alone."""

from itertools import count
from pathlib import Path

import dspy
import pytest
from dspy.utils import exceptions as dspy_errors
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.outbox import AppendFile
from dspy_service_runner.optimizer.settings import Settings

AUTH = dspy_errors.LMAuthError("no", status=401)
TOO_LONG = dspy_errors.ContextWindowExceededError(model="m", status=400)
UNCODABLE = ValueError("messages contains text that is not valid Unicode (lone surrogate U+D800)")
SERVER = dspy_errors.LMServerError("overloaded", status=503)


class Watched:
    """A watch over one model, told of calls as dspy tells it."""

    def __init__(self, folder: Path) -> None:
        self._lm = dspy.LM("openai/m", api_key="x", api_base="http://127.0.0.1:1/v1")
        self._journal = JournalCache(folder / "none", AppendFile(folder / "calls.jsonl"))
        self._token, self._ids = StopToken(), count()
        self.watch = ModelWatch("optimize", self._token, ModelSet(default=self._lm), self._journal, Settings())

    @property
    def stopped(self) -> bool:
        return self._token.is_stopped

    def call(self, error: Exception | None = None, *, judging: bool = False) -> None:
        self.end(self.begin(judging=judging), error, judging=judging)

    def begin(self, *, judging: bool = False) -> str:
        call_id = str(next(self._ids))
        self._callback(judging).on_lm_start(call_id, self._lm, {})
        self._journal.forget_hit()
        return call_id

    def end(self, call_id: str, error: Exception | None = None, *, judging: bool = False) -> None:
        self._callback(judging).on_lm_end(call_id, None if error else ["OK"], error)

    def _callback(self, judging: bool) -> BaseCallback:
        return self.watch.in_metric if judging else self.watch


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.mark.parametrize(
    "error", [TOO_LONG, UNCODABLE, TypeError("x"), dspy_errors.LMInvalidRequestError("x", status=400)]
)
def test_errors_of_one_request_end_nothing(watched: Watched, error: Exception) -> None:
    for _ in range(200):
        watched.call(error)

    assert not watched.stopped
    assert watched.watch.verdict() is None
    assert watched.watch.failures.total() == 200
    assert watched.watch.refusal() is not None
    watched.call()
    assert watched.watch.refusal() is None


def test_a_dead_model_ends_the_stage_whatever_it_is_asked_between(watched: Watched) -> None:
    for _ in range(8):
        assert not watched.stopped
        watched.call(UNCODABLE)
        watched.call(AUTH)

    with pytest.raises(Interrupt, match="The default model"):
        watched.call()


def test_a_refusal_by_the_provider_shows_that_the_model_lives(watched: Watched) -> None:
    for _ in range(200):
        watched.call(AUTH)
        watched.call(TOO_LONG)

    assert not watched.stopped


def test_an_overloaded_server_is_borne_for_longer_than_a_wrong_key(watched: Watched) -> None:
    for _ in range(39):
        watched.call(SERVER)
    assert not watched.stopped
    watched.call(SERVER)
    assert watched.stopped


def test_judges_errors_are_not_the_models_but_a_dead_model_is_dead(watched: Watched) -> None:
    for _ in range(100):
        watched.call(TOO_LONG, judging=True)
    assert not watched.stopped
    assert (watched.watch.failures.total(), watched.watch.refusal()) == (0, None)
    for _ in range(8):
        watched.call(AUTH, judging=True)
    assert watched.stopped
    assert watched.watch.failures.total() == 0


@pytest.mark.parametrize("answer", [None, TOO_LONG], ids=["an answer", "a refusal of that request"])
@pytest.mark.parametrize("judging", [False, True])
def test_the_answer_to_a_call_from_before_the_failures_shows_no_life(
    watched: Watched, judging: bool, answer: Exception | None
) -> None:
    slow = [watched.begin() for _ in range(7)]
    for call_id in slow:
        watched.call(AUTH, judging=judging)
        watched.end(call_id, answer)
    watched.call(AUTH, judging=judging)

    assert watched.stopped


def test_a_model_that_dies_with_a_stages_last_calls_fails_it_though_slower_ones_were_answered(watched: Watched) -> None:
    slow = watched.begin()
    watched.call(AUTH)
    watched.end(slow)

    with pytest.raises(JobFailed, match="The default model"):
        watched.watch.check()


def test_an_answer_to_a_call_that_began_among_failures_shows_life(watched: Watched) -> None:
    for _ in range(200):
        watched.call(AUTH)
        later = watched.begin()
        watched.call(AUTH)
        watched.end(later)

    assert not watched.stopped
    watched.watch.check()
