"""How commands come to a client: one object in click's context, which tests give a transport of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
import httpx

from dspy_service.client import Client
from dspy_service.retries import Retries

HASTY = Retries(attempts=3)
"""Somebody waits for the answer and is better told at once that nothing listens there."""
ONCE = Retries(attempts=1)
"""For what goes on without an answer too."""
PATIENT = Retries(attempts=8)
"""About half a minute: a service that is restarted meanwhile must not end a watch."""


@dataclass(frozen=True)
class Connection:
    url: str | None = None
    token: str | None = None
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    def to(self, url: str | None, token: str | None) -> "Connection":
        return replace(self, url=url or self.url, token=token or self.token)

    def client(self, retries: Retries) -> Client:
        return Client(self.url, self.token, retries=retries, transport=self.transport, sleep=self.sleep)


def connect(ctx: click.Context, retries: Retries = HASTY) -> Client:
    """Closed when the command ends."""
    connection: Connection = ctx.obj or Connection()
    return ctx.with_resource(connection.client(retries))
