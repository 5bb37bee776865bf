"""The Kubernetes API by plain HTTP, for tests that look at the wire: statuses, headers, bodies, watch lines."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from dspy_service_core.kube.config import from_kubeconfig

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class KubeHttp:
    """Every method answers the `httpx.Response`; `ok` asserts success and gives the body."""

    def __init__(self, kubeconfig: Path) -> None:
        config = from_kubeconfig(kubeconfig)
        verify: ssl.SSLContext | bool = config.ssl_context or True
        self._client = httpx.Client(
            base_url=config.server, verify=verify, headers=config.tokens.header(), timeout=30, trust_env=False
        )

    def __enter__(self) -> "KubeHttp":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, *, accept: str = "application/json", **query: str | int) -> httpx.Response:
        return self._client.get(path, params=query, headers={"accept": accept})

    def post(self, path: str, body: Any, **query: str | int) -> httpx.Response:
        if isinstance(body, bytes):
            return self._client.post(path, content=body, params=query, headers={"content-type": "application/json"})
        return self._client.post(path, json=body, params=query)

    def put(self, path: str, body: Any, **query: str | int) -> httpx.Response:
        return self._client.put(path, json=body, params=query)

    def patch(self, path: str, body: Any, media_type: str = MERGE, **query: str | int) -> httpx.Response:
        content = body if isinstance(body, str) else json.dumps(body)
        return self._client.patch(path, content=content, params=query, headers={"content-type": media_type})

    def delete(self, path: str, body: Any = None, **query: str | int) -> httpx.Response:
        return self._client.request("DELETE", path, json=body, params=query)

    @contextmanager
    def watch(self, path: str, *, accept: str = "application/json", **query: str | int) -> Iterator[Iterator[Any]]:
        """The events of a watch, as they come."""
        given = {"watch": "true", "timeoutSeconds": 20} | query
        with self._client.stream("GET", path, params=given, headers={"accept": accept}) as response:
            if response.status_code >= 400:
                response.read()
                raise AssertionError(response.text)
            yield (json.loads(line) for line in response.iter_lines() if line)


class NotNow(AssertionError):
    """The server is busy, starting or ending: who polls asks again."""


def ok(response: httpx.Response) -> Any:
    if response.status_code == 429 or response.status_code >= 500:
        raise NotNow(f"{response.status_code}: {response.text}")
    assert response.status_code < 300, response.text
    return response.json()


def refused(response: httpx.Response, code: int, reason: str) -> Any:
    """The Status of a refusal, whose form every refusal shares."""
    status = response.json()
    assert (response.status_code, status.get("reason")) == (code, reason), response.text
    assert (status["kind"], status["apiVersion"], status["status"], status["code"]) == ("Status", "v1", "Failure", code)
    return status
