"""What `make cluster` promises to the tests that run on it, from pods on each of its nodes (cluster/README.md).

On another cluster than that there is nothing to hold: no cluster.env lies beside its kubeconfig.
"""

import secrets
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from accounts import await_default_account
from kube_http import KubeHttp
from kubectl import Kubectl
from waiting import wait_for

_IMAGE = f"dspy-service-api:{version('dspy-service')}"
_PYTHON = "/opt/dspy-service/bin/python"
_FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"

_TRY = f"""
try:
    {_FETCH}
except OSError as exc:
    print(exc)
"""


def _facts(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def facts(given_kubeconfig: Path) -> dict[str, str]:
    path = given_kubeconfig.with_name("cluster.env")
    if not path.exists():
        pytest.skip("this cluster is not cluster/kind's")
    return _facts(path)


@pytest.fixture(scope="module")
def kubectl(
    facts: dict[str, str], given_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    namespace = f"development-{secrets.token_hex(4)}"
    kubectl = Kubectl(given_kubeconfig, namespace, tmp_path_factory.mktemp("home"))
    kubectl.run("create", "namespace", namespace)
    with KubeHttp(given_kubeconfig) as http:
        await_default_account(http, namespace)
    yield kubectl
    kubectl.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> list[str]:
    return [item["metadata"]["name"] for item in kubectl.json("nodes")["items"]]


def _start(kubectl: Kubectl, node: str, *command: str, **more: Any) -> str:
    """A pod of one container on that node, as the uid that ours run as."""
    name = f"pod-{secrets.token_hex(4)}"
    container = {"name": "main", "image": _IMAGE, "command": [_PYTHON, *command], **more}
    spec = {
        "restartPolicy": "Never",
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}] if more else [],
    }
    metadata = {"name": name, "labels": {"app": name}}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return name


def _output(kubectl: Kubectl, node: str, *command: str, **more: Any) -> str:
    pod = _start(kubectl, node, *command, **more)

    def phase() -> str:
        return str(kubectl.json(f"pod/{pod}")["status"]["phase"])

    ended = wait_for(lambda: phase() if phase() in ("Succeeded", "Failed") else "", timeout=90, interval=0.5)
    logs = kubectl.run("logs", pod)
    assert ended == "Succeeded", logs
    return logs.strip()


def test_all_nodes_write_to_one_volume(kubectl: Kubectl, nodes: list[str]) -> None:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "100Mi"}}}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec})
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    script = (
        "import pathlib, sys; folder = pathlib.Path('/data'); (folder / sys.argv[1]).touch();"
        " print(*sorted(path.name for path in folder.iterdir()))"
    )
    seen = [_output(kubectl, node, "-c", script, node, **mount).split() for node in nodes]
    assert seen[-1] == sorted(nodes)


def test_a_service_is_found_from_every_node(kubectl: Kubectl, nodes: list[str]) -> None:
    server = _start(kubectl, nodes[0], "-m", "http.server", "8080", "--directory", "/etc")
    clients = [_start(kubectl, node, "-c", "import signal; signal.pause()") for node in nodes]
    for pod in (server, *clients):
        kubectl.run("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
    kubectl.run("expose", "pod", server, "--port=80", "--target-port=8080")
    for client in clients:
        fetch = partial(kubectl.run, "exec", client, "--", _PYTHON, "-c", _TRY, f"http://{server}/hostname")
        # a Service works once every node's proxy has heard of it
        wait_for(lambda fetch=fetch: server in fetch(), timeout=60, interval=0.5, what=f"the Service from {client}")


def test_pods_reach_a_server_of_this_machine(
    kubectl: Kubectl, nodes: list[str], facts: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "word").write_text("heard")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer((facts["HOST_ADDRESS"], 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{facts['HOST_ADDRESS']}:{server.server_port}/word"
        heard = [_output(kubectl, node, "-c", _FETCH, url) for node in nodes]
        server.shutdown()
    assert heard == ["heard"] * len(nodes)


def test_the_object_store_is_one_for_pods_and_this_machine(
    kubectl: Kubectl, nodes: list[str], given_kubeconfig: Path
) -> None:
    given = _facts(given_kubeconfig.with_name("s3.env"))
    key = f"tests/{secrets.token_hex(4)}"
    outside = S3Store(
        given["S3_BUCKET"],
        endpoint=given["S3_ENDPOINT_ON_HOST"],
        access_key_id=given["AWS_ACCESS_KEY_ID"],
        secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        region=given["AWS_REGION"],
        client_options={"allow_http": True},
    )
    obstore.put(outside, key, b"put outside")
    script = (
        "import obstore, sys; from obstore.store import S3Store; bucket, endpoint, key_id, secret, key = sys.argv[1:];"
        "store = S3Store(bucket, endpoint=endpoint, access_key_id=key_id, secret_access_key=secret, region='us-east-1',"
        " client_options={'allow_http': True}); print(bytes(obstore.get(store, key).bytes()).decode())"
    )
    names = ("S3_BUCKET", "S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert _output(kubectl, nodes[-1], "-c", script, *[given[name] for name in names], key) == "put outside"
    obstore.delete(outside, key)
