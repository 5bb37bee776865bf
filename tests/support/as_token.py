"""The API server as whoever holds a token sees it: by the cluster's own CA, and with no other credential."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from kube_http import MERGE, KubeHttp, ok


@contextmanager
def as_token(kubeconfig: Path, token: str) -> Iterator[httpx.Client]:
    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(
        base_url=cluster["server"], verify=context, headers=headers, timeout=30, trust_env=False
    ) as opened:
        yield opened


def patched(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return client.patch(path, json=body, headers={"Content-Type": MERGE})


def bound_token(api: KubeHttp, namespace: str, account: str, pod: dict[str, Any]) -> str:
    """As the kubelet would ask it for that pod."""
    reference = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {"spec": {"boundObjectRef": reference, "expirationSeconds": 600}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(ok(api.post(path, body))["status"]["token"])
