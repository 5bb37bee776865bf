"""Requests made from the OpenAPI document, valid and not: no 500, and no answer that the document does not declare.

Bounded and derandomized, so that the suite takes the same seconds and finds the same everywhere.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
import uvicorn
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dspy_service_api.http.app import create_app
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.storage.store import open_store
from faulty_cluster import faulty_cluster

EXAMPLES = 50
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
VALID, INVALID = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OPERATIONS = [
    ("POST", "/run", VALID),
    ("POST", "/run", INVALID),
    ("GET", "/jobs", VALID),
    ("GET", "/jobs", INVALID),
    ("GET", "/jobs/{job_id}", VALID),
    ("DELETE", "/jobs/{job_id}", VALID),
    ("GET", "/jobs/{job_id}/summary", VALID),
    ("GET", "/jobs/{job_id}/logs", VALID),
    ("GET", "/jobs/{job_id}/logs", INVALID),
    ("GET", "/jobs/{job_id}/events", VALID),
    ("GET", "/jobs/{job_id}/events", INVALID),
    ("GET", "/jobs/{job_id}/artifact", VALID),
]
"""Where any string is a valid parameter, nothing is invalid."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """Of a service on a real socket, because the server's own parser is part of what must not fail."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    settings = Settings(store_url=(folder / "store").as_uri())
    acceptance = CoreAcceptance.from_settings(settings)
    listener, servers = socket.create_server(("127.0.0.1", 0)), list[uvicorn.Server]()

    async def serve() -> None:
        async with faulty_cluster(folder / "cluster") as cluster:
            app = create_app(settings, cluster.client, open_store(settings.store_url), acceptance)
            servers.append(uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None)))
            await servers[0].serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{listener.getsockname()[1]}/openapi.json")
    servers[0].should_exit = True
    thread.join()


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_no_request_finds_a_fault(
    schema: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=schema[path][method].as_strategy(generation_mode=mode))
    def sent(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    sent()
