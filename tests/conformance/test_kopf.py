"""kopf, under which our operator runs: it finds the resource, watches, patches, posts events, and lets go."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube_http import KubeHttp, ok
from waiting import wait_for
from widgets import GROUP, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")

_OPERATOR = f"""
import kopf

@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = "{GROUP}/kopf"

@kopf.on.login()
def login(**kwargs):
    return kopf.login_with_kubeconfig(**kwargs)

@kopf.on.create("{GROUP}", "v1", "widgets")
def created(body, patch, **_):
    kopf.info(body, reason="Created", message="seen by kopf")
    patch.status["phase"] = "Created"

@kopf.on.update("{GROUP}", "v1", "widgets", field="spec.note")
def updated(new, patch, **_):
    patch.status["phase"] = new

@kopf.on.delete("{GROUP}", "v1", "widgets")
def deleted(**_):
    pass
"""


@pytest.fixture
def operator(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """Runs the operator on the namespace; its log's path."""
    script, output = tmp_path / "handlers.py", tmp_path / "kopf.log"
    script.write_text(_OPERATOR)
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", namespace, str(script)]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    with output.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        yield output
        process.terminate()
        process.wait(timeout=30)


def test_an_operator_works(http: KubeHttp, namespace: str, operator: Path) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.post(collection(namespace), widget("a")))

    def phase() -> str:
        return str(ok(http.get(path)).get("status", {}).get("phase", ""))

    wait_for(lambda: phase() == "Created", timeout=60, what=f"creation was handled, see {operator}")
    assert ok(http.get(path))["metadata"]["finalizers"] == [f"{GROUP}/kopf"]
    events = f"/api/v1/namespaces/{namespace}/events"
    wait_for(lambda: "seen by kopf" in [event["message"] for event in ok(http.get(events))["items"]])
    ok(http.patch(path, {"spec": {"note": "changed"}}))
    wait_for(lambda: phase() == "changed", timeout=60, what=f"the update was handled, see {operator}")
    ok(http.delete(path))
    wait_for(lambda: http.get(path).status_code == 404, timeout=60, what=f"the object was let go, see {operator}")
