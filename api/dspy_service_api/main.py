"""The command `dspy-service-api`: settings -> application -> uvicorn, one worker.

One process because the cache of jobs is in memory; more of them are replicas, each with its own watch.
"""

import sys

import uvicorn
from pydantic import ValidationError

from dspy_service_api import log_lines
from dspy_service_api.accept import CoreAcceptance
from dspy_service_api.app import create_app
from dspy_service_api.settings import Settings
from dspy_service_core.errors import ServiceError
from dspy_service_core.kube import config
from dspy_service_core.kube.client import HttpKubeClient
from dspy_service_core.registry_file import RegistryError
from dspy_service_core.store import open_store

_GRACEFUL_SECONDS = 5


def main() -> None:
    try:
        settings = Settings()
        log_lines.configure(settings.log_level)
        cluster = HttpKubeClient(config.load(str(settings.kubeconfig) if settings.kubeconfig else None))
        acceptance = CoreAcceptance.from_settings(settings)
        store = open_store(settings.store_url)
    except ValidationError as exc:
        sys.exit("\n".join(f"{_variable(e['loc'])}{e['msg'].removeprefix('Value error, ')}" for e in exc.errors()))
    except (config.ConfigError, RegistryError, ServiceError) as exc:
        sys.exit(str(exc))
    app = create_app(settings, cluster, store, acceptance)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return f"DSPY_SERVICE_{str(location[0]).upper()}: " if location else ""
