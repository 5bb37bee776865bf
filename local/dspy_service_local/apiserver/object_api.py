"""Requests about objects and collections of them: the same answers over HTTP (`http`) and in process (`inprocess`)."""

from collections.abc import Callable

import orjson

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.http import tables
from dspy_service_local.apiserver.http.answers import TEXT, Answer, StreamedAnswer
from dspy_service_local.apiserver.http.requests import Request, options_of, read_body
from dspy_service_local.apiserver.http.streams import Lists, Watches
from dspy_service_local.apiserver.http.verbs import WRITES
from dspy_service_local.apiserver.logs import PodLogs, closing, log_request
from dspy_service_local.apiserver.objects.operations import Guard, Operations
from dspy_service_local.apiserver.routes import Target
from dspy_service_local.apiserver.storage.selectors import select
from dspy_service_local.apiserver.storage.watch import Hub


class ObjectApi:
    def __init__(self, operations: Operations, hub: Hub, logs: Callable[[], PodLogs]) -> None:
        self._operations = operations
        self._logs = logs
        self._lists = Lists(operations, hub)
        self._watches = Watches(operations, hub)

    async def answer(self, request: Request, target: Target, guard: Guard | None = None) -> Answer | StreamedAnswer:
        """Of a caller who may do this, as far as `guard` lets the change itself pass."""
        if request.method in WRITES:
            return await self._write(request, target, guard)
        if request.method in ("GET", "HEAD"):
            return await self._read(request, target)
        raise refusals.method_not_allowed()

    async def _write(self, request: Request, target: Target, guard: Guard | None) -> Answer:
        if request.receive is not None:
            request.body = await read_body(request.receive)
        options = options_of(request, target, guard)
        written = WRITES[request.method](self._operations, request, target, options)
        await self._operations.storage.committed()
        return Answer(201 if written.created else 200, written.body, warnings=written.warnings)

    async def _read(self, request: Request, target: Target) -> Answer | StreamedAnswer:
        storage, kind = self._operations.storage, target.kind
        await storage.committed()
        if target.subresource == "log":
            return await self._log(request, target)
        if target.name and not target.watch:
            row = self._operations.read(kind, target.namespace, target.name)
            if request.wants_table:
                return Answer(200, tables.table(kind, [row.body], request.query, self._operations.clock()))
            return Answer(200, row.body)
        fields = request.query.get("fieldSelector", "")
        if target.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
        namespace = target.namespace if target.namespace else None
        labels = request.query.get("labelSelector", "")
        selection = select(namespace, labels, fields, frozenset(kind.selectable))
        if target.watch:
            return await self._watches.answer(request, kind, selection)
        return await self._lists.answer(request, kind, selection)

    async def _log(self, request: Request, target: Target) -> StreamedAnswer:
        row = self._operations.read(target.kind, target.namespace, target.name)
        pieces = self._logs().read(log_request(orjson.loads(row.body), request.query))
        return StreamedAnswer(closing(pieces), TEXT)
