"""All that the reporter does with the Kubernetes API: GET its job's resource, PATCH its own part of the status.

Every answer has the whole resource, so each one also tells whether this pod is still the recorded attempt and what
`spec.stop` says. `Fenced` means that it is not, and that the caller must stop writing.
"""

import ssl
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core import nesting
from dspy_service_core.resource import names
from dspy_service_runner.reporter.light_httpx import httpx

REQUEST_TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
_IDLE_SECONDS = 60.0

Object = dict[str, Any]


class Unreachable(Exception):
    """There was no usable answer: the request may or may not have taken effect, and should be repeated."""


class NotAllowed(Exception):
    """401 or 403: the token is not valid or lacks the right, perhaps only not yet."""


class Refused(Exception):
    """The server refuses this patch although this pod is the recorded one."""


class Fenced(Exception):
    """The resource is gone or another pod is recorded: nothing more may be written."""


class OwnResource:
    def __init__(self, client: httpx.Client, token_file: Path, namespace: str, name: str, pod_uid: str) -> None:
        self._client = client
        self._token_file = token_file
        self._path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}/{name}"
        self._pod_uid = pod_uid

    def get(self) -> Object | None:
        """None where there is no such resource."""
        answer = self._request("GET", self._path)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _object(answer)

    def patch_run(self, run: Object) -> Object:
        """Merges `run` into `status.run`, and returns the resource from the answer."""
        body = orjson.dumps({"status": {"run": run}})
        answer = self._request("PATCH", f"{self._path}/status", body)
        if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.UNPROCESSABLE_ENTITY):
            self._explain(answer)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Fenced("the resource is gone")
        return self.current(_object(answer))

    def current(self, resource: Object | None) -> Object:
        """Returns the resource if this pod is its recorded attempt, and raises `Fenced` otherwise."""
        if resource is None:
            raise Fenced("the resource is gone")
        recorded = recorded_pod(resource)
        if recorded != self._pod_uid:
            raise Fenced(f"the recorded pod is {recorded or 'none'}")
        return resource

    def _explain(self, answer: httpx.Response) -> None:
        """Reads the resource to tell why: raises `Fenced` if another pod is recorded, and `Refused` otherwise."""
        self.current(self.get())
        raise Refused(f"{answer.status_code}: {_message(answer)}")

    def _request(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        try:
            return self._client.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"the API server does not answer ({type(error).__name__})") from None

    def _token(self) -> str:
        """Read for each request, because the kubelet replaces the token before it expires."""
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise Unreachable(f"the token cannot be read: {error.strerror}") from None


def recorded_pod(resource: Object) -> str:
    return str(_attempt(resource).get("podUID") or "")


def recorded_attempt(resource: Object) -> int:
    return int(_attempt(resource).get("number") or 0)


def _attempt(resource: Object) -> Object:
    return (resource.get("status") or {}).get("attempt") or {}


def open_client(base_url: str, token_folder: Path) -> httpx.Client:
    """The client trusts only the cluster's own CA, which also saves loading the bundle of public ones."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(token_folder / "ca.crt"))
    return httpx.Client(
        base_url=base_url,
        verify=context,
        trust_env=False,
        timeout=httpx.Timeout(REQUEST_TIMEOUT, connect=CONNECT_TIMEOUT),
        limits=httpx.Limits(max_connections=1, keepalive_expiry=_IDLE_SECONDS),
    )


def _object(answer: httpx.Response) -> Object:
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise NotAllowed(f"{answer.status_code}: {_message(answer)}")
    if not answer.is_success:
        raise Unreachable(f"the API server answers {answer.status_code}")
    try:
        found = nesting.loads(answer.content)
    except orjson.JSONDecodeError:
        raise Unreachable("the API server's answer is no JSON") from None
    if not isinstance(found, dict):
        raise Unreachable("the API server's answer is no object")
    return found


def _message(answer: httpx.Response) -> str:
    try:
        return str(nesting.loads(answer.content).get("message", ""))[:300]
    except (orjson.JSONDecodeError, AttributeError):
        return ""
