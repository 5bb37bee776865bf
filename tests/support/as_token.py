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
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(
        base_url=_cluster(kubeconfig)["server"],
        verify=authority_of(kubeconfig),
        headers=headers,
        timeout=30,
        trust_env=False,
    ) as opened:
        yield opened


def authority_of(kubeconfig: Path) -> ssl.SSLContext:
    authority = base64.b64decode(_cluster(kubeconfig)["certificate-authority-data"]).decode()
    return ssl.create_default_context(cadata=authority)


def _cluster(kubeconfig: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"])


def patched(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return client.patch(path, json=body, headers={"Content-Type": MERGE})


def bound_token(api: KubeHttp, namespace: str, account: str, pod: dict[str, Any]) -> str:
    """As the kubelet would ask it for that pod."""
    reference = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {"spec": {"boundObjectRef": reference, "expirationSeconds": 600}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(ok(api.post(path, body))["status"]["token"])
