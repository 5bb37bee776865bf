"""A job that was sent from live objects: its verdict, its prompts, and its state for the caller's program.

What comes back is text and JSON. It becomes a program only inside of an object or a class that the caller has.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from rich.console import Console

from dspy_service import answers
from dspy_service.display import notebook, verdicts
from dspy_service.display.live import show_live
from dspy_service.display.score_trail import ScoreTrail
from dspy_service.errors import NoArtifact
from dspy_service.program_states import Change, changes, load_state
from dspy_service.watching import Update

T = TypeVar("T")


class Jobs(Protocol):
    """What it needs of a client."""

    def summary(self, job_id: str) -> answers.Summary: ...
    def job(self, job_id: str) -> answers.Job: ...
    def artifact(self, job_id: str) -> answers.Artifact: ...
    def candidates(self, job_id: str, after: int = 0) -> Iterator[answers.Candidate]: ...
    def rows(self, job_id: str, which: str = "all") -> Iterator[answers.Row]: ...
    def watch(self, job_id: str, *, from_log: int = 0) -> Iterator[Update]: ...
    def download(self, job_id: str, directory: str | Path) -> Path: ...
    def cancel(self, job_id: str) -> answers.Summary: ...
    def stop(self, job_id: str) -> answers.Summary: ...
    def pause(self, job_id: str) -> answers.Summary: ...
    def resume(self, job_id: str) -> answers.Summary: ...


class Ended:
    """What is known of a job that has ended: verdict first, then scores, prompts and state."""

    def __init__(self, job: answers.Job, artifact: answers.Artifact | None) -> None:
        self.job = job
        self.artifact = artifact

    @property
    def verdict(self) -> str | None:
        return self.job.result.verdict if self.job.result else None

    @property
    def result(self) -> answers.Result:
        """Raises `JobFailed` for a job that failed or was cancelled."""
        self.job.raise_unless_success()
        assert self.job.result is not None, "a job that succeeded has a result"
        return self.job.result

    @property
    def state(self) -> dict[str, Any]:
        """The optimized program's, as DSPy's `load_state` takes it."""
        if self.artifact is None or not isinstance(self.artifact.program_state, dict):
            raise NoArtifact(f"Job '{self.job.job_id}' made no program.")
        return self.artifact.program_state

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the optimizer made of each predictor that it changed."""
        artifact = self.artifact
        return changes(artifact.baseline_state, artifact.program_state) if artifact else ()

    def load_into(self, program: T | type[T]) -> T:
        """The caller's program with the optimized prompts: the object itself, or a new one of the class. A state of
        other predictors or fields is refused, naming them."""
        return load_state(program, self.state)

    def __repr__(self) -> str:
        said = verdicts.line(self.job.result) or self.job.status
        return f"<{said}; job {self.job.job_id}>"


class Optimization:
    """A job by its id. `repr` says what was known when the service was last asked."""

    def __init__(self, client: Jobs, job_id: str, warning: str | None = None) -> None:
        self.job_id = job_id
        self.warning = warning
        self._client = client
        self._summary: answers.Summary | None = None
        self._ended: Ended | None = None

    @property
    def summary(self) -> answers.Summary:
        if self._summary is None or not self._summary.finished:
            self._summary = self._client.summary(self.job_id)
        return self._summary

    @property
    def status(self) -> str:
        return self.summary.status

    def wait(self, *, show: bool = True) -> Ended:
        """Until it has ended, however; `show`: a live bar in a notebook or on a terminal, nothing in a pipe."""
        draw = notebook.drawing() if show else None
        console = Console()
        if draw:
            self._summary = notebook.show_notebook(self._client.watch(self.job_id), draw)
        elif show and console.is_terminal:
            self._summary = show_live(self._client.watch(self.job_id), console)
        else:
            for update in self._client.watch(self.job_id):
                self._summary = update.summary
        ended = self.ended
        if draw:
            draw(notebook.ended(self.summary, ended.job.result, ended.changes))
        return ended

    @property
    def ended(self) -> Ended:
        """Asked for once the job has ended; before that, `wait`."""
        if self._ended is None:
            job = self._client.job(self.job_id)
            self._ended = Ended(job, self._artifact(job)) if job.finished else None
            return self._ended or Ended(job, None)
        return self._ended

    def candidates(self) -> Iterator[answers.Candidate]:
        """The programs that the search has tried by now."""
        return self._client.candidates(self.job_id)

    def rows(self, which: str = "all") -> Iterator[answers.Row]:
        return self._client.rows(self.job_id, which)

    def download(self, directory: str | Path) -> Path:
        return self._client.download(self.job_id, directory)

    def cancel(self) -> Self:
        return self._asked(self._client.cancel(self.job_id))

    def stop(self) -> Self:
        """Keeps the best program so far."""
        return self._asked(self._client.stop(self.job_id))

    def pause(self) -> Self:
        return self._asked(self._client.pause(self.job_id))

    def resume(self) -> Self:
        return self._asked(self._client.resume(self.job_id))

    def _asked(self, summary: answers.Summary) -> Self:
        self._summary = summary
        return self

    def _artifact(self, job: answers.Job) -> answers.Artifact | None:
        try:
            return self._client.artifact(job.job_id)
        except NoArtifact:
            return None

    def __repr__(self) -> str:
        known = self._summary
        return f"<Optimization {self.job_id} {known.verdict or known.status if known else 'sent'}>"

    def _repr_html_(self) -> str:
        summary = self.summary
        if not summary.finished:
            return notebook.running(summary, ScoreTrail())
        return notebook.ended(summary, self.ended.job.result, self.ended.changes)


class AsyncJobs(Protocol):
    async def job(self, job_id: str) -> answers.Job: ...
    async def wait(self, job_id: str) -> answers.Job: ...
    async def artifact(self, job_id: str) -> answers.Artifact: ...


class AsyncOptimization:
    """As `Optimization`, for programs that await."""

    def __init__(self, client: AsyncJobs, job_id: str, warning: str | None = None) -> None:
        self.job_id = job_id
        self.warning = warning
        self._client = client
        self._ended: Ended | None = None

    async def wait(self) -> Ended:
        if self._ended is None:
            job = await self._client.wait(self.job_id)
            self._ended = Ended(job, await self._artifact(job))
        return self._ended

    async def _artifact(self, job: answers.Job) -> answers.Artifact | None:
        try:
            return await self._client.artifact(job.job_id)
        except NoArtifact:
            return None

    def __repr__(self) -> str:
        known = self._ended
        return f"<Optimization {self.job_id} {known.verdict or known.job.status if known else 'sent'}>"
