"""An API server of one resource, as the reporter sees it: GET and merge patch of the status, fencing, faults to order.

In memory through `transport()`, or over TLS through `served()` for a real process.
"""

import copy
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import trustme

from dspy_service_core.resource import names
from dspy_service_local.apiserver.objects.patches import merge

Answer = tuple[int, dict[str, Any]]
Fault = Callable[[str], Answer | None]

POD_UID = "pod-1"
TOKEN = "service-account-token"


def refusal(code: int, message: str = "") -> Answer:
    return code, {"kind": "Status", "code": code, "message": message}


@dataclass
class AttemptApi:
    """`fault(method)` may answer in the server's place; `down` closes connections unanswered."""

    resource: dict[str, Any]
    patches: list[dict[str, Any]] = field(default_factory=list)
    gets: int = 0
    gone: bool = False
    down: bool = False
    fault: Fault = field(default=lambda method: None)
    fenced: bool = True
    token: str = TOKEN
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def path(self) -> str:
        meta = self.resource["metadata"]
        return f"/apis/{names.API_VERSION}/namespaces/{meta['namespace']}/{names.PLURAL}/{meta['name']}"

    @property
    def run(self) -> dict[str, Any]:
        with self._lock:
            return copy.deepcopy(self.resource.get("status", {}).get("run", {}))

    @property
    def result(self) -> dict[str, Any] | None:
        found = self.run.get("result")
        return dict(found) if found else None

    def change(self, patch: dict[str, Any]) -> None:
        with self._lock:
            self.resource = merge(self.resource, patch)

    def record(self, pod_uid: str, attempt: int = 1) -> None:
        """What the operator does."""
        self.change({"status": {"attempt": {"number": attempt, "podUID": pod_uid}}})

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._lock:
            if answer := self.fault(method):
                return answer
            if headers.get("authorization") != f"Bearer {self.token}":
                return refusal(401, "unauthorized")
            if self.gone or not path.startswith(self.path):
                return refusal(404, "not found")
            return self._patch(json.loads(body)) if method == "PATCH" else self._get()

    def _get(self) -> Answer:
        self.gets += 1
        return 200, copy.deepcopy(self.resource)

    def _patch(self, body: dict[str, Any]) -> Answer:
        run = body["status"]["run"]
        recorded = self.resource.get("status", {}).get("attempt", {}).get("podUID")
        if self.fenced and run["podUID"] != recorded:
            return refusal(422, "denied by policy")
        assert set(body) == {"status"}
        assert set(body["status"]) == {"run"}
        assert len(json.dumps(run)) < 16 * 1024
        self.patches.append(run)
        self.resource = merge(self.resource, body)
        return 200, copy.deepcopy(self.resource)

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            if self.down:
                raise httpx.ConnectError("down")
            code, body = self.handle(request.method, request.url.path, request.headers, request.content)
            return httpx.Response(code, json=body)

        return httpx.MockTransport(answer)

    @contextmanager
    def served(self, token_folder: Path) -> Iterator[str]:
        """The port's address; writes `ca.crt` and `token`."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(token_folder / "ca.crt"))
        (token_folder / "token").write_text(self.token)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = _Server(self)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield str(server.server_port)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: AttemptApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed breaks its connection."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        if self.server.api.down:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {key.lower(): value for key, value in self.headers.items()}
        code, found = self.server.api.handle(self.command, self.path, headers, body)
        content = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass
