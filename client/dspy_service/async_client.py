"""The asynchronous client: the same calls, retries and answers as `client.py`, awaited."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from httpx_sse import EventSource

from dspy_service import answers, typed_ids
from dspy_service.build import build_payload, payload_of
from dspy_service.client import PAGE, TIMEOUT, outcome_status, read_outcome
from dspy_service.errors import DspyServiceError
from dspy_service.files.artifact_files import Origin
from dspy_service.files.downloads import save
from dspy_service.optimization import AsyncOptimization
from dspy_service.watching import Update, Watch
from dspy_service.wire import calls, streaming
from dspy_service.wire.retries import Retries
from dspy_service.wire.streaming import Rounds

T = TypeVar("T")


class AsyncClient:
    """As `Client`, for programs that await."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = calls.service_url(url)
        self._retries = retries or Retries()
        self._sleep = sleep
        access = calls.access(self.url, token)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=access.headers,
            timeout=timeout,
            transport=transport,
            trust_env=access.trust_env,
        )

    async def submit(self, payload: Mapping[str, Any], *, idempotency_key: str | None = None) -> answers.Accepted:
        return await self._send(calls.submit(payload, idempotency_key))

    async def estimate(self, program: Any = None, **request: Any) -> answers.DryRun:
        known = None if isinstance(program, Mapping) else await self.packages()
        return await self._send(calls.estimate(payload_of(program, request, lambda: known)))

    async def optimize(
        self, program: Any = None, *, wait: bool = False, idempotency_key: str | None = None, **request: Any
    ) -> AsyncOptimization:
        known = await self.packages()
        payload = build_payload(program, packages=lambda: known, **request)
        accepted = await self.submit(payload, idempotency_key=idempotency_key)
        optimization = AsyncOptimization(self, accepted.job_id, accepted.warning)
        if wait:
            await optimization.wait()
        return optimization

    async def packages(self) -> tuple[str, ...] | None:
        try:
            return await self._send(calls.packages())
        except DspyServiceError:
            return None

    async def resolve(self, typed: str, *, alone: bool = False) -> str:
        asked = typed_ids.resolve(typed, alone=alone)
        try:
            call = next(asked)
            while True:
                call = asked.send(await self._send(call))
        except StopIteration as resolved:
            return typed_ids.FullId(resolved.value)
        except typed_ids.NOT_LISTED:
            return typed_ids.FullId(typed)

    async def job(self, job_id: str) -> answers.Job:
        return await self._send(calls.job(await self.resolve(job_id)))

    async def payload(self, job_id: str) -> dict[str, Any]:
        return await self._send(calls.payload(await self.resolve(job_id)))

    async def summary(self, job_id: str) -> answers.Summary:
        return await self._send(calls.summary(await self.resolve(job_id)))

    def logs(self, job_id: str, after: int = 0) -> AsyncIterator[answers.LogEntry]:
        return self._pages(job_id, calls.log_page, after)

    def events(self, job_id: str, after: int = 0) -> AsyncIterator[answers.Event]:
        return self._pages(job_id, calls.event_page, after)

    async def candidates(self, job_id: str, after: int = 0) -> AsyncIterator[answers.Candidate]:
        job_id = await self.resolve(job_id)
        while (page := await self._send(calls.candidate_page(job_id, after, PAGE))) and page[-1].n > after:
            for candidate in page:
                yield candidate
            after = page[-1].n

    async def rows(self, job_id: str, which: str = "all") -> AsyncIterator[answers.Row]:
        job_id = await self.resolve(job_id)
        after: int | None = None
        while page := await self._send(calls.row_page(job_id, which, after, PAGE)):
            for row in page:
                yield row
            if len(page) < PAGE or page[-1].n <= (after if after is not None else -1):
                return
            after = page[-1].n

    async def artifact(self, job_id: str, *, best: bool = False) -> answers.Artifact:
        return await self._send(calls.artifact(await self.resolve(job_id), best))

    async def download(self, job_id: str, directory: str | Path, *, best: bool = False) -> Path:
        job_id = await self.resolve(job_id)
        artifact = await self.artifact(job_id, best=best)
        return await asyncio.to_thread(save, artifact, Path(directory), Origin(self.url, job_id))

    async def delete(self, job_id: str) -> answers.RecordKept | None:
        return await self._send(calls.delete(await self.resolve(job_id, alone=True)))

    async def cancel(self, job_id: str) -> answers.Summary:
        return await self._send(calls.control(await self.resolve(job_id), "cancel"))

    async def stop(self, job_id: str) -> answers.Summary:
        return await self._send(calls.control(await self.resolve(job_id), "stop"))

    async def pause(self, job_id: str) -> answers.Summary:
        return await self._send(calls.control(await self.resolve(job_id), "pause"))

    async def resume(self, job_id: str) -> answers.Summary:
        return await self._send(calls.control(await self.resolve(job_id), "resume"))

    async def list(self, **filters: Any) -> AsyncIterator[answers.Summary]:
        cursor: str | None = None
        while True:
            page = await self.list_page(cursor=cursor, **filters)
            for summary in page.jobs:
                yield summary
            cursor = page.next_cursor
            if cursor is None:
                return

    async def list_page(self, **filters: Any) -> answers.JobPage:
        return await self._send(calls.jobs(**filters))

    async def health(self) -> answers.Health:
        return await self._send(calls.health())

    async def catalogue(self) -> answers.Catalogue:
        return await self._send(calls.catalogue())

    async def watch(self, job_id: str, *, from_log: int = 0) -> AsyncIterator[Update]:
        job_id, watch, streams = await self.resolve(job_id), Watch(from_log=from_log), True
        while True:
            if streams:
                rounds = Rounds(watch)
                async with aclosing(self._streamed(job_id, rounds)) as updates:
                    async for new in updates:
                        yield new
                if rounds.ended:
                    return
                streams = rounds.again
            summary = await self.summary(job_id)
            logs = tuple([entry async for entry in self.logs(job_id, watch.last_log)])
            events = tuple([event async for event in self.events(job_id, watch.last_event)])
            tried: tuple[answers.Candidate, ...] = ()
            if watch.lacks_candidates(summary):
                tried = tuple([each async for each in self.candidates(job_id, watch.last_candidate)])
            update = watch.observe(summary, events, logs, tried)
            if update is not None:
                yield update
            if summary.finished:
                return
            await self._sleep(watch.interval)

    async def _streamed(self, job_id: str, rounds: Rounds) -> AsyncGenerator[Update, None]:
        """Until the stream ends, which it may do before the job."""
        path, headers = streaming.request(job_id, rounds.watch)
        try:
            async with self._http.stream("GET", path, headers=headers) as response:
                if not streaming.is_stream(response):
                    rounds.again = not streaming.knows_no_streams(response)
                    return
                async for event in EventSource(response).aiter_sse():
                    update = rounds.take(event.event, event.data)
                    if update is not None:
                        yield update
        except streaming.BROKEN:
            return

    async def wait(self, job_id: str) -> answers.Job:
        job_id, watch = await self.resolve(job_id), Watch()
        while not watch.seen(await self.summary(job_id)).finished:
            await self._sleep(watch.interval)
        return await self.job(job_id)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _pages(
        self, job_id: str, page_after: Callable[[str, int, int], calls.Call[tuple[T, ...]]], after: int
    ) -> AsyncIterator[T]:
        job_id = await self.resolve(job_id)
        while True:
            page = await self._send(page_after(job_id, after, PAGE))
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return
            after += len(page)

    async def _send(self, call: calls.Call[T]) -> T:
        attempt = 1
        while True:
            outcome = await self._attempt(call)
            wait = self._retries.wait(attempt, *outcome_status(outcome))
            if wait is None:
                return read_outcome(call, outcome, self.url)
            await self._sleep(wait)
            attempt += 1

    async def _attempt(self, call: calls.Call[Any]) -> httpx.Response | httpx.RequestError:
        try:
            return await self._http.request(
                call.method, call.path, params=dict(call.params), json=call.json, headers=dict(call.headers)
            )
        except httpx.RequestError as error:
            return error
