"""Watches every model call of one stage: optimizers swallow errors, so a dead model could look like a success.

Each stage has its own watch, installed with `dspy.context(callbacks=...)`, which reaches the stage's worker threads and
no others. A model that fails again and again stops the stage through its stop token; one that never answered fails the
stage when it is over. An error of one request (`OF_ONE_REQUEST`) fails its row and is counted, but ends nothing.
"""

import itertools
import threading
from collections import Counter
from typing import Any

from dspy.utils.callback import BaseCallback

from dspy_service_core.records.usage import CallStage
from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.model_errors import DISOWNED, OF_ONE_REQUEST, is_lasting, kind_of, shows_life
from dspy_service_runner.optimizer.models.models import AnyModel, ModelKey, ModelSet, explain, model_key
from dspy_service_runner.optimizer.settings import Settings


class ModelWatch(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    watches_embedders = True

    def __init__(
        self, stage: CallStage, stop_token: StopToken, models: ModelSet, journal: JournalCache, settings: Settings
    ) -> None:
        self.stage = stage
        self._stop_token, self._journal, self._settings = stop_token, journal, settings
        self._roles = {model_key(lm): (role, lm) for role, lm in reversed(models.everything())}
        self._lock = threading.Lock()
        self._clock = itertools.count(1)
        """Puts the begins and the failures of calls in an order."""
        self._open: dict[str, tuple[AnyModel, int]] = {}
        self._answered: Counter[ModelKey] = Counter()
        self._in_a_row: Counter[ModelKey] = Counter()
        self._lasting_in_a_row: Counter[ModelKey] = Counter()
        self._failing_since: dict[ModelKey, int] = {}
        self._failed: dict[ModelKey, JobFailed] = {}
        self._refused: dict[ModelKey, JobFailed] = {}
        self.failures: Counter[str] = Counter()
        """How many errors of each kind the job's models had, not counting calls by the metric (judges)."""
        self.program_error: BaseException | None = None
        self.in_metric = JudgeWatch(self)

    def check(self) -> None:
        """Also fails the stage if a model died with its last calls. A single error is enough if the model refuses the
        job as such (wrong key, no money, unknown model), because the next call would fail as well."""
        self._stop_token.check()
        with self._lock:
            gone = [self._failed[key] for key in self._roles if self._lasting_in_a_row[key]]
        for failure in gone:
            if failure.reason in DISOWNED:
                raise failure

    def verdict(self) -> JobFailed | None:
        """The error of a model of the job that never answered in this stage; answers of the journal do not count."""
        return self._first_silent(self._failed)

    def refusal(self) -> JobFailed | None:
        """The last refusal of a model that refused every request of this stage."""
        return self._first_silent(self._refused)

    def _first_silent(self, errors: dict[ModelKey, JobFailed]) -> JobFailed | None:
        with self._lock:
            silent = [key for key in self._roles if key in errors and not self._answered[key]]
            return errors[silent[0]] if silent else None

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._stop_token.check()
        self._journal.forget_hit()
        self._open[call_id] = instance, next(self._clock)

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.ended(call_id, exception, judging=False)

    def ended(self, call_id: str, exception: BaseException | None, *, judging: bool) -> None:
        lm, begun = self._open.pop(call_id, (None, 0))
        if lm is None or isinstance(exception, Interrupt):
            return
        if exception is not None:
            self._note_failure(lm, begun, exception, judging)
        elif not self._journal.was_hit():
            self._note_answer(model_key(lm), begun)

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if isinstance(exception, Exception) and self.program_error is None:
            self.program_error = exception

    def _note_answer(self, key: ModelKey, begun: int) -> None:
        with self._lock:
            self._answered[key] += 1
            self._note_life(key, begun)

    def _note_life(self, key: ModelKey, begun: int) -> None:
        """Ends a row of failures, unless this call began before the first of them: its answer, which was only slower,
        says nothing of the model as it is now."""
        if begun > self._failing_since.get(key, 0):
            self._in_a_row[key] = self._lasting_in_a_row[key] = 0

    def _note_failure(self, lm: AnyModel, begun: int, error: BaseException, judging: bool) -> None:
        key = model_key(lm)
        if key not in self._roles:
            return  # a model of the user's own code, which may handle its errors
        role, known = self._roles[key]
        kind = kind_of(error)
        failure = explain(role, known, error)
        with self._lock:
            if not judging:
                self.failures[kind] += 1
            if kind in OF_ONE_REQUEST:
                if not judging:
                    self._refused[key] = failure
                if shows_life(error, kind):
                    self._note_life(key, begun)
                return
            hopeless = self._count(key, failure, kind)
        if hopeless:
            self._stop_token.fail(failure)

    def _count(self, key: ModelKey, failure: JobFailed, kind: str) -> bool:
        """Counts a failure; True if the model is not to be asked any more."""
        self._failed[key] = failure
        if not self._in_a_row[key]:
            self._failing_since[key] = next(self._clock)
        self._in_a_row[key] += 1
        self._lasting_in_a_row[key] = self._lasting_in_a_row[key] + 1 if is_lasting(kind) else 0
        return (
            self._lasting_in_a_row[key] >= self._settings.dead_model_failures
            or self._in_a_row[key] >= self._settings.failing_model_failures
        )


class JudgeWatch(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    """Watches the same models when the metric asks them. An error there is the metric's, which may handle it: it counts
    only towards whether the model is dead, and says nothing of the program."""

    watches_embedders = True

    def __init__(self, watch: ModelWatch) -> None:
        self._watch = watch

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._watch.on_lm_start(call_id, instance, inputs)

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self._watch.ended(call_id, exception, judging=True)
