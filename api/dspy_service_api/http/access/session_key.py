"""The key that seals browsers' cookies (`page/session.py`): one for all replicas, and the same after a restart.

Where the service has a token of its own, it follows from that: whoever changes the token ends all sessions. Elsewhere
it lies in a Secret of the namespace, which the first replica that needs it makes.
"""

import base64
import secrets
from collections.abc import Awaitable, Callable

from dspy_service_api.settings import Settings
from dspy_service_core.errors import ClusterUnavailable
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.resources import SECRETS
from dspy_service_core.resource import names

_FIELD = "key"
_BYTES = 32


def session_key(settings: Settings, cluster: KubeClient) -> Callable[[], Awaitable[bytes]]:
    async def key() -> bytes:
        if token := settings.token.get_secret_value():
            return token.encode()
        return await _shared(cluster, settings.namespace)

    return key


async def _shared(cluster: KubeClient, namespace: str) -> bytes:
    try:
        return _read(await cluster.get(SECRETS, names.PAGE_KEY_SECRET, namespace))
    except kube.NotFound:
        pass
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.PAGE_KEY_SECRET, "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY}},
        "data": {_FIELD: base64.b64encode(secrets.token_bytes(_BYTES)).decode()},
    }
    try:
        return _read(await cluster.create(SECRETS, secret, namespace))
    except kube.AlreadyExists:  # another replica was as quick
        return _read(await cluster.get(SECRETS, names.PAGE_KEY_SECRET, namespace))


def _read(secret: dict[str, object]) -> bytes:
    data = secret.get("data")
    key = base64.b64decode(str(data.get(_FIELD, ""))) if isinstance(data, dict) else b""
    if len(key) < _BYTES:
        raise ClusterUnavailable(f"The Secret {names.PAGE_KEY_SECRET} holds no key: delete it, and one is made anew.")
    return key
