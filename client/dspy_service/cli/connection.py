"""How commands come to a client: one object in click's context, which tests give a transport of their own.

The client, and httpx with it, is imported when one is asked for: `up` runs for as long as the service does, and needs
none.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

import dspy_service
from dspy_service.wire.retries import Retries

if TYPE_CHECKING:
    import httpx  # for its type alone: `up` does without it

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
    transport: "httpx.BaseTransport | None" = None
    sleep: Callable[[float], None] = time.sleep

    def to(self, url: str | None, token: str | None) -> "Connection":
        return replace(self, url=url or self.url, token=token or self.token)

    def client(self, retries: Retries) -> "dspy_service.Client":
        return dspy_service.Client(self.url, self.token, retries=retries, transport=self.transport, sleep=self.sleep)


def connect(ctx: click.Context, retries: Retries = HASTY) -> "dspy_service.Client":
    """Closed when the command ends."""
    connection: Connection = ctx.obj or Connection()
    return ctx.with_resource(connection.client(retries))
