"""uvicorn's server on our own listener; its lifespan, ticks and graceful end are unchanged."""

import asyncio
import logging
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from dspy_service_api.serve.crowd import Crowd, Seat
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.listener import Listener, bound
from dspy_service_api.serve.protocol import LimitedProtocol

log = logging.getLogger(__name__)


class LimitedServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self.limits = limits
        self.listener: Listener | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])  # all but listening
        try:
            listening = [given.dup() for given in sockets] if sockets is not None else await self._bound()
        except OSError as exc:
            self.started = False
            log.error("cannot listen on %s port %d: %s", self.config.host, self.config.port, exc.strerror)
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        self.listener = Listener(listening, self.config.ssl, self.limits, self._protocol)
        self.servers = [self.listener]  # type: ignore[list-item]  # it closes and is waited for, as theirs

    async def _bound(self) -> list[socket.socket]:
        return await bound(self.config.host, self.config.port, self.config.backlog)

    def _protocol(self, crowd: Crowd, seat: Seat) -> asyncio.Protocol:
        state: dict[str, Any] = self.lifespan.state
        return LimitedProtocol(self.config, self.server_state, state, self.limits, crowd, seat)
