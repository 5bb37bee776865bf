"""What the same end-to-end tests see of a service and of a model server, whatever cluster those run on.

`whole_service.Service` and `scripted_lm.ScriptedServer` are the embedded ones, `installed_service.InstalledService` and
`model_pod.ModelPod` those on a real cluster.
"""

from collections.abc import Set
from pathlib import Path
from typing import Protocol

import httpx

from scripted_lm import Stats


class Service(Protocol):
    """A running service."""

    @property
    def url(self) -> str:
        """Of the HTTP API, from here."""

    @property
    def token(self) -> str:
        """Clients send it; empty where none is asked for."""

    @property
    def http(self) -> httpx.Client:
        """A client of the HTTP API that brings the token."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def namespace(self) -> str:
        """Whose jobs it serves."""

    def stored(self, store_id: str) -> Set[str]:
        """Keys in the store that belong to that job."""


class Model(Protocol):
    """A scripted model server; see `scripted_lm`."""

    latency: float

    @property
    def url(self) -> str:
        """As jobs reach it."""

    @property
    def local_url(self) -> str:
        """As it is reached from here."""

    @property
    def stats(self) -> Stats: ...

    def url_of(self, fault: str) -> str: ...

    def fail_from(self, call: int, fault: str) -> None: ...

    def reset(self) -> None: ...
