"""The synchronous client: sends the calls of `calls.py`, again where that helps, and reads their answers."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from httpx_sse import EventSource

from dspy_service import answers, typed_ids
from dspy_service.build import build_payload, payload_of
from dspy_service.errors import DspyServiceError, ServiceUnreachable
from dspy_service.files.artifact_files import Origin
from dspy_service.files.downloads import save
from dspy_service.optimization import Optimization
from dspy_service.watching import Update, Watch
from dspy_service.wire import calls, streaming
from dspy_service.wire.error_answers import error_of, retry_after
from dspy_service.wire.retries import Retries
from dspy_service.wire.streaming import Rounds

T = TypeVar("T")
PAGE = 1000
"""Log entries and events asked for at once."""
TIMEOUT = 60.0
"""Seconds to wait for an answer: a submit of 30 MB takes a while."""


class Client:
    """Talks to one service. `url` and `token` default to DSPY_SERVICE_URL and DSPY_SERVICE_TOKEN.

    The token that a service on this machine made for itself (`dspy-service up --token`) is found without either.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = calls.service_url(url)
        self._retries = retries or Retries()
        self._sleep = sleep
        access = calls.access(self.url, token)
        self._http = httpx.Client(
            base_url=self.url,
            headers=access.headers,
            timeout=timeout,
            transport=transport,
            trust_env=access.trust_env,
        )

    def submit(self, payload: Mapping[str, Any], *, idempotency_key: str | None = None) -> answers.Accepted:
        """Sends a payload (see `build_payload`); a broken connection or a 503 never makes a second job."""
        return self._send(calls.submit(payload, idempotency_key))

    def estimate(self, program: Any = None, **request: Any) -> answers.DryRun:
        """What a job would call, and how its rows would be split. Takes a payload, as `submit` does, or a program with
        all else, as `optimize` does. All checks of a submit are made, and nothing is stored."""
        return self._send(calls.estimate(payload_of(program, request, self.packages)))

    def optimize(
        self, program: Any = None, *, wait: bool = False, idempotency_key: str | None = None, **request: Any
    ) -> Optimization:
        """Sends a program as it is, with its metric, rows and models: `build_payload` says what `request` may hold.

        What a job could not have of it (an open file, a package that the runner lacks) is refused before anything is
        sent. With `wait` it comes back when the job has ended.
        """
        payload = build_payload(program, packages=self.packages, **request)
        accepted = self.submit(payload, idempotency_key=idempotency_key)
        optimization = Optimization(self, accepted.job_id, accepted.warning)
        if wait:
            optimization.wait()
        return optimization

    def packages(self) -> tuple[str, ...] | None:
        """What is installed where jobs run; None for a service that does not say."""
        try:
            return self._send(calls.packages())
        except DspyServiceError:
            return None

    def resolve(self, typed: str, *, alone: bool = False) -> str:
        """The full id for what people type: an id, the beginning of one, or what the job is called.

        Every method takes such a text and resolves it, with a request of its own unless it is a UUID: whoever asks
        often keeps what this returns. `alone`: a name that several jobs have had is refused, as `delete` does. Raises
        `AmbiguousJob`.
        """
        asked = typed_ids.resolve(typed, alone=alone)
        try:
            call = next(asked)
            while True:
                call = asked.send(self._send(call))
        except StopIteration as resolved:
            return typed_ids.FullId(resolved.value)
        except typed_ids.NOT_LISTED:
            return typed_ids.FullId(typed)

    def job(self, job_id: str) -> answers.Job:
        return self._send(calls.job(self.resolve(job_id)))

    def payload(self, job_id: str) -> dict[str, Any]:
        """What was submitted, for `submit` again. Models are without credentials, and each of its `secrets` is empty:
        fill them in. Raises `NoPayload` for a resource whose content the service does not read."""
        return self._send(calls.payload(self.resolve(job_id)))

    def summary(self, job_id: str) -> answers.Summary:
        return self._send(calls.summary(self.resolve(job_id)))

    def logs(self, job_id: str, after: int = 0) -> Iterator[answers.LogEntry]:
        """All entries numbered above `after` that there are now, page by page."""
        return self._pages(job_id, calls.log_page, after)

    def events(self, job_id: str, after: int = 0) -> Iterator[answers.Event]:
        return self._pages(job_id, calls.event_page, after)

    def candidates(self, job_id: str, after: int = 0) -> Iterator[answers.Candidate]:
        """The programs that the search has tried by now, numbered above `after`."""
        job_id = self.resolve(job_id)
        while (page := self._send(calls.candidate_page(job_id, after, PAGE))) and page[-1].n > after:
            yield from page
            after = page[-1].n

    def rows(self, job_id: str, which: str = "all") -> Iterator[answers.Row]:
        """What both programs made of each test row: `won`, `lost`, `tied`, `changed`, `failed` ones or `all`."""
        job_id = self.resolve(job_id)
        after: int | None = None
        while page := self._send(calls.row_page(job_id, which, after, PAGE)):
            yield from page
            if len(page) < PAGE or page[-1].n <= (after if after is not None else -1):
                return
            after = page[-1].n

    def artifact(self, job_id: str, *, best: bool = False) -> answers.Artifact:
        """`best`: while the job runs, the best program so far, which has state and prompts alone. Raises `NotFinished`
        where there is none yet."""
        return self._send(calls.artifact(self.resolve(job_id), best))

    def download(self, job_id: str, directory: str | Path, *, best: bool = False) -> Path:
        """Writes the optimized program's files into the directory and checks that they are whole."""
        job_id = self.resolve(job_id)
        return save(self.artifact(job_id, best=best), Path(directory), Origin(self.url, job_id))

    def delete(self, job_id: str) -> answers.RecordKept | None:
        """Stops the job where it runs and removes it with all that it wrote; tells if finalizers keep its record."""
        return self._send(calls.delete(self.resolve(job_id, alone=True)))

    def cancel(self, job_id: str) -> answers.Summary:
        """Ends the job as `cancelled`; its record, log and usage stay. May be repeated, as all of these four. Raises
        `JobEnded` if the job has ended in another way."""
        return self._send(calls.control(self.resolve(job_id), "cancel"))

    def stop(self, job_id: str) -> answers.Summary:
        """Ends the search with the best program so far; where there is none yet, the job ends `cancelled`."""
        return self._send(calls.control(self.resolve(job_id), "stop"))

    def pause(self, job_id: str) -> answers.Summary:
        """Ends the attempt; what was answered and found is kept for `resume`."""
        return self._send(calls.control(self.resolve(job_id), "pause"))

    def resume(self, job_id: str) -> answers.Summary:
        """Lets a paused job go on from where it was."""
        return self._send(calls.control(self.resolve(job_id), "resume"))

    def list(self, **filters: Any) -> Iterator[answers.Summary]:
        """Newest first; filters: `status`, `optimizer`, `label` ("k=v"), `verdict`, `name`,
        `words`; `limit`: a page's size."""
        cursor: str | None = None
        while True:
            page = self.list_page(cursor=cursor, **filters)
            yield from page.jobs
            cursor = page.next_cursor
            if cursor is None:
                return

    def list_page(self, **filters: Any) -> answers.JobPage:
        return self._send(calls.jobs(**filters))

    def health(self) -> answers.Health:
        return self._send(calls.health())

    def catalogue(self) -> answers.Catalogue:
        """What a job may name with which arguments, and what is installed where it runs."""
        return self._send(calls.catalogue())

    def watch(self, job_id: str, *, from_log: int = 0) -> Iterator[Update]:
        """What is new, as soon as something is, until the job has ended and every log line was seen: from the job's
        stream, and by asking again and again where a service has none, or not now."""
        job_id, watch, streams = self.resolve(job_id), Watch(from_log=from_log), True
        while True:
            if streams:
                rounds = Rounds(watch)
                yield from self._streamed(job_id, rounds)
                if rounds.ended:
                    return
                streams = rounds.again
            summary = self.summary(job_id)
            logs = tuple(self.logs(job_id, watch.last_log))
            events = tuple(self.events(job_id, watch.last_event))
            tried = tuple(self.candidates(job_id, watch.last_candidate)) if watch.lacks_candidates(summary) else ()
            update = watch.observe(summary, events, logs, tried)
            if update is not None:
                yield update
            if summary.finished:
                return
            self._sleep(watch.interval)

    def _streamed(self, job_id: str, rounds: Rounds) -> Iterator[Update]:
        """Until the stream ends, which it may do before the job."""
        path, headers = streaming.request(job_id, rounds.watch)
        try:
            with self._http.stream("GET", path, headers=headers) as response:
                if not streaming.is_stream(response):
                    rounds.again = not streaming.knows_no_streams(response)
                    return
                for event in EventSource(response).iter_sse():
                    update = rounds.take(event.event, event.data)
                    if update is not None:
                        yield update
        except streaming.BROKEN:
            return

    def wait(self, job_id: str) -> answers.Job:
        """The job once it has ended, however it ended; see `Job.raise_unless_success`."""
        job_id, watch = self.resolve(job_id), Watch()
        while not watch.seen(self.summary(job_id)).finished:
            self._sleep(watch.interval)
        return self.job(job_id)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pages(
        self, job_id: str, page_after: Callable[[str, int, int], calls.Call[tuple[T, ...]]], after: int
    ) -> Iterator[T]:
        job_id = self.resolve(job_id)
        while True:
            page = self._send(page_after(job_id, after, PAGE))
            yield from page
            if len(page) < PAGE:
                return
            after += len(page)

    def _send(self, call: calls.Call[T]) -> T:
        attempt = 1
        while True:
            outcome = self._attempt(call)
            wait = self._retries.wait(attempt, *outcome_status(outcome))
            if wait is None:
                return read_outcome(call, outcome, self.url)
            self._sleep(wait)
            attempt += 1

    def _attempt(self, call: calls.Call[Any]) -> httpx.Response | httpx.RequestError:
        try:
            return self._http.request(
                call.method, call.path, params=dict(call.params), json=call.json, headers=dict(call.headers)
            )
        except httpx.RequestError as error:
            return error


def outcome_status(outcome: httpx.Response | httpx.RequestError) -> tuple[int | None, float | None]:
    """The status, and how long the service asks to wait."""
    if isinstance(outcome, httpx.RequestError):
        return None, None
    return outcome.status_code, retry_after(outcome.headers)


def read_outcome(call: calls.Call[T], outcome: httpx.Response | httpx.RequestError, url: str) -> T:
    """The answer of the last attempt, or the error that it means."""
    if isinstance(outcome, httpx.RequestError):
        raise ServiceUnreachable(f"No answer from {url}: {outcome or type(outcome).__name__}") from outcome
    data = parsed(outcome)
    if not outcome.is_success:
        raise error_of(f"{call.method} {call.path}", outcome.status_code, data, outcome.headers)
    return call.read(data, outcome.headers)


def parsed(response: httpx.Response) -> Any:
    """None for what is no JSON, or nested deeper than can be read."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
