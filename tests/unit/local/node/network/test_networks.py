"""A container's own network: the internet and what is named, and nothing else; warm and cold."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

import warm_probe
from dspy_service_core.kube.resources import PODS
from dspy_service_core.resource import names
from dspy_service_local.node.network.endpoints import own_addresses, reach
from dspy_service_local.node.network.networks import Networks
from dspy_service_local.node.network.slirp import Slirp
from dspy_service_local.node.pods.context import Folders
from dspy_service_local.node.sandbox import warm_process
from dspy_service_local.node.sandbox.find_network import find_slirp
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.sandbox.warm import WarmLauncher
from node_host import BASE_ENV, Host, launchers, make_pod, node_host
from stand_in_internet import PORT, Elsewhere, elsewhere, missing_stand_in
from waiting import until, wait_for

SUPPORT = Path(warm_probe.__file__).parent
REACHED, REFUSED = "reached", "refused"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def here() -> Iterator[int]:
    """A server of this machine, on all of its addresses."""
    with ThreadingHTTPServer(("0.0.0.0", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def there() -> Iterator[Elsewhere]:
    if reason := missing_stand_in():
        pytest.skip(reason)
    with elsewhere() as places:
        yield places


@pytest.fixture
def networks(tmp_path: Path, here: int) -> Networks:
    cold = launchers(tmp_path).get("sandbox")
    if not isinstance(cold, SandboxLauncher):
        pytest.skip("bubblewrap does not work here")
    slirp = find_slirp(cold.sandbox)
    if not isinstance(slirp, Slirp):
        pytest.skip(slirp)
    return Networks(slirp, Folders(tmp_path).networks, cold.owner, (), frozenset({here + 1}), 8)


@pytest.fixture(params=["cold", "warm"])
async def host(
    request: pytest.FixtureRequest, networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Host]:
    monkeypatch.setattr(warm_process, "FORK_SECONDS", 60.0)
    cold = launchers(tmp_path, [SUPPORT])["sandbox"]
    assert isinstance(cold, SandboxLauncher)
    cold.networks = networks
    if request.param == "cold":
        async with node_host(tmp_path, cold) as host:
            yield host
        return
    env = {**BASE_ENV, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = Folders(tmp_path)
    hidden = {"pods": folders.pods, "volumes": folders.claims, "networks": folders.networks}
    launcher = WarmLauncher(cold, hidden, env, tmp_path / "logs", {"network-probe": "network_probe:main"})
    running = asyncio.create_task(launcher.run())
    await until(lambda: _async(launcher.waiting))
    async with node_host(tmp_path, launcher) as host:
        yield host
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def probe(host: Host, *places: str, endpoints: str = "", **fields: Any) -> str:
    """A pod that tries to connect to each `host:port`."""
    warm = isinstance(host.node._context.launcher, WarmLauncher)
    command = ["network-probe"] if warm else [sys.executable, str(SUPPORT / "network_probe.py")]
    pod = make_pod([{"name": "main", "image": "probe", "command": command, "args": list(places), **fields}])
    pod["metadata"]["annotations"] = {names.ANNOTATION_ENDPOINTS: endpoints}
    return str(host.kube.add(PODS, pod)["metadata"]["name"])


async def tried(host: Host, *places: str, endpoints: str = "") -> dict[str, str]:
    name = probe(host, *places, endpoints=endpoints)
    await host.ended(name)
    found: dict[str, str] = json.loads(host.log(name))
    return found


async def test_the_internet_is_reached(host: Host, there: Elsewhere) -> None:
    place = f"{there.internet}:{PORT}"
    assert await tried(host, place) == {place: REACHED}


async def test_nothing_else_is(host: Host, there: Elsewhere, here: int) -> None:
    """Neither this machine, by any of its addresses, nor a neighbour that it can reach itself."""
    own = [str(address) for address in own_addresses() if address.version == 4]
    places = [f"{address}:{here}" for address in ("127.0.0.1", "0.0.0.0", "10.0.2.2", "10.0.2.3", *own)]
    places += [f"{address}:{PORT}" for address in (there.private, there.carrier, there.link_local)]
    for place in places:
        host_name, _, port = place.rpartition(":")
        if not host_name.startswith("10.0.2."):
            socket.create_connection((host_name, int(port)), timeout=10).close()
    seen = await tried(host, *places, f"[::1]:{here}", f"[::ffff:127.0.0.1]:{here}")
    assert set(seen.values()) == {REFUSED}, seen


async def test_what_is_named_is_reached_and_no_other_port_there(host: Host, there: Elsewhere, here: int) -> None:
    named = [f"127.0.0.1:{here}", f"{there.private}:{PORT}", f"{there.link_local}:{PORT}"]
    others = [f"127.0.0.1:{here + 2}", f"{there.private}:{PORT + 1}", f"{there.carrier}:{PORT}"]
    seen = await tried(host, *named, *others, endpoints=",".join(named))
    assert {place for place, answer in seen.items() if answer == REACHED} == set(named)


async def test_a_name_is_what_it_resolves_to(host: Host, here: int) -> None:
    seen = await tried(host, f"localhost:{here}", endpoints=f"localhost:{here}")
    assert set(seen.values()) == {REACHED}


async def test_the_network_goes_with_its_container(host: Host) -> None:
    before = slirps()
    name = probe(host, "sleep")
    await host.says(name, "sleeping")
    assert len(slirps() - before) == 1
    await host.kube.client.delete(PODS, name, "default", grace_period_seconds=0)
    await until(lambda: _async(not slirps() - before))


def test_the_network_goes_with_a_node_that_is_killed(networks: Networks, tmp_path: Path) -> None:
    command = [sys.executable, str(SUPPORT / "dying_node.py"), str(tmp_path)]
    dead = subprocess.run(command, capture_output=True, text=True)
    children: dict[str, int] = json.loads(dead.stdout)
    assert set(children) == {"bwrap", "slirp4netns"}, dead.stderr
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in children.values()), what="all to end")


@pytest.mark.parametrize(
    "spelled",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "own"],
)
async def test_a_port_of_the_service_is_never_forwarded(spelled: str) -> None:
    own = next(str(address) for address in own_addresses() if address.version == 4)
    found = await reach([f"{own if spelled == 'own' else spelled}:8000"], frozenset({8000}))
    assert found.network.forwarded == []


async def test_what_is_forwarded_leads_where_it_was_named(there: Elsewhere) -> None:
    found = await reach(["127.0.0.1:9", f"{there.private}:7", f"{there.internet}:80", "nowhere.invalid:1"], frozenset())
    assert found.network.forwarded == [("127.0.0.1", 9), (there.private, 7)]


def slirps() -> set[int]:
    """Of this very process."""
    children = psutil.Process().children()
    return {child.pid for child in children if child.name() == "slirp4netns" and child.status() != "zombie"}


async def _async(value: Any) -> Any:
    return value
