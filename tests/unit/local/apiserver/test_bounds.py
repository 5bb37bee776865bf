"""The embedded API server is reached by whatever runs on the machine: one connection there is bounded as well."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from dspy_service_local.apiserver import ApiServer, Cluster
from limited_server import Wire

HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
async def server(cluster: Cluster) -> AsyncIterator[ApiServer]:
    started = await ApiServer.start(cluster)
    yield started
    await started.stop()


async def _connect(server: ApiServer, cluster: Cluster) -> Wire:
    trust = ssl.create_default_context(cafile=cluster.pki.authority)
    port = int(server.url.rpartition(":")[2])
    return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost"))


async def test_a_head_without_an_end_is_cut_off(server: ApiServer, cluster: Cluster) -> None:
    wire = await _connect(server, cluster)
    assert (await wire.ask(HEAD + b"\r\n")).body == b"ok"
    await wire.send(HEAD + b"X: ")
    for _ in range(100):
        await wire.send(b"x" * 1000)
    assert (await wire.answer()).status == 431
    assert await wire.ended()
    wire.close()


async def test_trailers_never_become_headers(server: ApiServer, cluster: Cluster) -> None:
    """A token in one would make an administrator of whoever is let write behind another's request."""
    wire = await _connect(server, cluster)
    token = b"Authorization: Bearer " + cluster.pki.admin_token.encode() + b"\r\n"
    target = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: localhost\r\n"
    body = target + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + token + b"\r\n"
    assert (await wire.ask(body)).status == 401
    wire.close()
