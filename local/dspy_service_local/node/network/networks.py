"""Networks of containers' own: planned before a container starts, attached while it waits, gone when it has ended."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from dspy_service_local.node.network.endpoints import Reach, reach
from dspy_service_local.node.network.relay import Relay, sockets
from dspy_service_local.node.network.slirp import NAMESERVER, Slirp
from dspy_service_local.node.processes.launch import Bind, Launch
from dspy_service_runner.container.container_request import Network

RESOLV_CONF = "/etc/resolv.conf"


class Networks:
    """`folder` is for what containers read of it, and `owner` whom they run as (None: whoever runs the node); `always`
    are endpoints (`host:port`) that every container reaches.
    """

    def __init__(
        self,
        slirp: Slirp,
        folder: Path,
        owner: int | None,
        always: Sequence[str],
        service_ports: frozenset[int],
        connections: int,
    ) -> None:
        self.folder = folder
        self._owner = owner
        self._slirp = slirp
        self._always = tuple(always)
        self._service_ports = service_ports
        self._connections = connections

    async def plan(self, launch: Launch) -> "OwnNetwork | None":
        """None for a container that has this machine's network."""
        if launch.endpoints is None:
            return None
        found = await reach((*self._always, *launch.endpoints), self._service_ports)
        return OwnNetwork(self._slirp, found, self._resolv_conf, self._connections)

    @cached_property
    def _resolv_conf(self) -> Bind:
        """Written anew by every node: the machine may complete names otherwise by now."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / "resolv.conf"
        file.write_text("\n".join([f"nameserver {NAMESERVER}", *_kept_lines()]) + "\n")
        file.chmod(0o600)
        if self._owner is not None:
            os.chown(file, self._owner, self._owner)
        return Bind(file, RESOLV_CONF, True)


class OwnNetwork:
    """`resolv_conf` is to be mounted, `wanted` to be made inside; then comes `attach`, and `close` in any case."""

    def __init__(self, slirp: Slirp, found: Reach, resolv_conf: Bind, connections: int) -> None:
        self.resolv_conf = resolv_conf
        self._slirp = slirp
        self._reach = found
        self._connections = connections
        self._relay: Relay | None = None
        self._slirp_end = -1

    @property
    def wanted(self) -> Network:
        return self._reach.network

    async def attach(self, pid: int, listeners: Sequence[int]) -> None:
        self._relay = Relay(sockets(listeners), self._reach.targets, self._connections)
        self._slirp_end = await self._slirp.attach(pid)

    def close(self) -> None:
        if self._relay:
            self._relay.close()
        if self._slirp_end >= 0:
            os.close(self._slirp_end)
            self._slirp_end = -1


def _kept_lines() -> list[str]:
    """How names are completed."""
    with suppress(OSError):
        lines = Path(RESOLV_CONF).read_text().splitlines()
        return [line for line in lines if line.startswith(("search", "options"))]
    return []
