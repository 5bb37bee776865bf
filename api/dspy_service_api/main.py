"""The command `dspy-service-api`: settings -> application -> uvicorn with one worker.

One process only, because the cache of jobs is in memory; more processes are replicas, each with a watch of its own.
"""

import asyncio
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from uvicorn.config import STARTUP_FAILURE

from dspy_service_api.http.app import create_app
from dspy_service_api.monitoring import log_lines
from dspy_service_api.monitoring.telemetry import Telemetry
from dspy_service_api.serve import allocator
from dspy_service_api.serve.descriptors import room_for
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.server import LimitedServer
from dspy_service_api.serve.tls import CertificateFiles, TlsError
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.errors import ServiceError
from dspy_service_core.kube import config
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.registry.registry_file import RegistryError
from dspy_service_core.storage.store import open_store

_GRACEFUL_SECONDS = 5


def main() -> None:
    allocator.return_large_blocks()
    try:
        settings = Settings()
        log_lines.configure(settings.log_level)
        transport = HttpTransport(config.load(str(settings.kubeconfig) if settings.kubeconfig else None))
        acceptance = CoreAcceptance.from_settings(settings)
        store = open_store(settings.store_url)
        files = _certificate_files(settings)
    except ValidationError as exc:
        sys.exit("\n".join(f"{_variable(e['loc'])}{e['msg'].removeprefix('Value error, ')}" for e in exc.errors()))
    except (config.ConfigError, RegistryError, ServiceError, TlsError) as exc:
        sys.exit(str(exc))
    telemetry = _telemetry(settings)
    app = create_app(settings, KubeClient(transport, telemetry.asked), store, acceptance, telemetry)
    limits = settings.limits(room_for(settings.connections))
    server = Server(_config(app, settings, files), files, limits)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class Server(LimitedServer):
    """Also reloads its certificate when the files change, if it serves HTTPS."""

    def __init__(self, config: uvicorn.Config, files: CertificateFiles | None, limits: ConnectionLimits) -> None:
        super().__init__(config, limits)
        self._files = files
        self._keeping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._files is not None and self.config.ssl is not None:
            self._keeping = asyncio.create_task(self._files.keep_loaded(self.config.ssl), name="tls")


def _telemetry(settings: Settings) -> Telemetry:
    if not settings.metrics_port:
        return Telemetry()
    from dspy_service_api.monitoring.metrics import Metrics  # here: its library costs memory that nobody uses otherwise

    return Metrics(settings.metrics_host, settings.metrics_port)


def _certificate_files(settings: Settings) -> CertificateFiles | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    files = CertificateFiles(settings.tls_cert_file, settings.tls_key_file)
    files.check()
    return files


def _config(app: FastAPI, settings: Settings, files: CertificateFiles | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        ssl_certfile=files.certificate if files else None,
        ssl_keyfile=files.key if files else None,
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return f"DSPY_SERVICE_{str(location[0]).upper()}: " if location else ""
