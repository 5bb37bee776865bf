"""Watches every model call of one stage: optimizers swallow errors, so a dead model could end as a fake success.

One watch a stage, installed with `dspy.context(callbacks=...)`, which reaches the stage's worker threads and no
others. A model that fails time and again ends the stage through its stop token; so does, at its end, one that never
answered.
"""

import threading
from collections import Counter
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.models import ModelSet, explain, is_dead
from dspy_service_runner.optimizer.models.usage import UsageCounter
from dspy_service_runner.optimizer.settings import Settings

ModelKey = tuple[str, str]


class ModelWatch(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    def __init__(
        self, stop_token: StopToken, models: ModelSet, journal: JournalCache, usage: UsageCounter, settings: Settings
    ) -> None:
        self._stop_token, self._journal, self._usage, self._settings = stop_token, journal, usage, settings
        self._roles = {_key(lm): (role, lm) for role, lm in reversed(list(models.by_role()))}
        self._lock = threading.Lock()
        self._open: dict[str, dspy.BaseLM] = {}
        self._answered: Counter[ModelKey] = Counter()
        self._failed: Counter[ModelKey] = Counter()
        self._in_a_row: Counter[ModelKey] = Counter()
        self._dead_in_a_row: Counter[ModelKey] = Counter()
        self._last: dict[ModelKey, JobFailed] = {}
        self.program_error: BaseException | None = None

    @property
    def failures(self) -> int:
        return self._failed.total()

    def check(self) -> None:
        """A model that died with the stage's last calls ends it too."""
        self._stop_token.check()

    def verdict(self) -> JobFailed | None:
        """The cause, when one of the job's models was asked anew in this stage and never answered."""
        with self._lock:
            silent = [key for key in self._roles if self._failed[key] and not self._answered[key]]
            return self._last[silent[0]] if silent else None

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._stop_token.check()
        self._journal.forget_hit()
        self._open[call_id] = instance

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        lm = self._open.pop(call_id, None)
        if lm is None or isinstance(exception, Interrupt):
            return
        if exception is not None:
            self._note_failure(lm, exception)
        elif self._journal.was_hit():
            self._usage.add_cached()
        else:
            self._note_answer(_key(lm))

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if isinstance(exception, Exception) and self.program_error is None:
            self.program_error = exception

    def _note_answer(self, key: ModelKey) -> None:
        with self._lock:
            self._answered[key] += 1
            self._in_a_row[key] = self._dead_in_a_row[key] = 0

    def _note_failure(self, lm: dspy.BaseLM, error: BaseException) -> None:
        key = _key(lm)
        if key not in self._roles:
            return  # a model of the user's own code, which may well cope with its errors
        role, known = self._roles[key]
        failure = explain(role, known, error)
        with self._lock:
            self._failed[key] += 1
            self._in_a_row[key] += 1
            self._dead_in_a_row[key] = self._dead_in_a_row[key] + 1 if is_dead(error) else 0
            self._last[key] = failure
            hopeless = (
                self._dead_in_a_row[key] >= self._settings.dead_model_failures
                or self._in_a_row[key] >= self._settings.failing_model_failures
            )
        if hopeless:
            self._stop_token.fail(failure)


def _key(lm: dspy.BaseLM) -> ModelKey:
    """The same for a model and its copies (other temperature, other rollout)."""
    return lm.model, str(lm.kwargs.get("api_base") or "")
