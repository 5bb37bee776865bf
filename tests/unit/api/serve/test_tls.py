"""HTTPS from files, and from other ones once they have changed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvicorn
from pydantic import ValidationError

from dspy_service_api.main import Server
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.tls import CertificateFiles, TlsError
from dspy_service_api.settings import Settings
from waiting import until


def _write(folder: Path, authority: trustme.CA) -> CertificateFiles:
    files = CertificateFiles(folder / "tls.crt", folder / "tls.key", look_seconds=0.02)
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(files.key)
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return files


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def _serving(files: CertificateFiles) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _application,
        log_config=None,
        lifespan="off",
        ssl_certfile=str(files.certificate),
        ssl_keyfile=str(files.key),
    )
    server = Server(config, files, ConnectionLimits())
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _trusted(port: int, authority: trustme.CA) -> bool:
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    except ssl.SSLError:
        return False
    writer.close()
    return True


async def test_a_changed_certificate_is_served(tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    async with _serving(_write(tmp_path, first)) as port:
        assert await _trusted(port, first)
        assert not await _trusted(port, second)
        _write(tmp_path, second)

        async def renewed() -> bool:
            return await _trusted(port, second)

        await until(renewed)
        assert not await _trusted(port, first)


async def test_files_that_do_not_fit_leave_the_last_good_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    async with _serving(files := _write(tmp_path, authority)) as port:
        assert await _trusted(port, authority)
        trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(files.key)

        async def noticed() -> bool:
            return "the last good certificate" in caplog.text

        await until(noticed)
        assert await _trusted(port, authority)


def test_files_that_cannot_serve_are_named(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    with pytest.raises(TlsError, match=r"tls\.crt and .*tls\.key"):
        files.check()


def test_certificate_and_key_belong_together() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Settings(tls_cert_file=Path("tls.crt"))
