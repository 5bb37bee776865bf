"""The scripted model as a pod of the real cluster, for jobs that run there: `scripted_lm.py` from a ConfigMap.

It lies in a namespace of its own, so that quotas, drains and policies of a test meet the service and not the model. Its
image is the API's, which has all that the script imports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from kubectl import Kubectl
from payloads import DATASET
from port_forward import forwarded
from scripted_lm import Stats
from waiting import wait_for

NAMESPACE = "dspy-service-models"
_NAME, _PORT = "scripted-model", 8911
SCRIPTS = ("scripted_lm.py", "scripted_model.py", "model_manners.py", "knowing_model.py")
_ARGUMENTS = ["/scripts/scripted_lm.py", "--host", "0.0.0.0", "--port", str(_PORT)]
_DATA = ["--dataset", f"/scripts/{DATASET.name}", "--label", "team"]


class ModelPod:
    """As `ScriptedServer`; attributes are set and read over HTTP."""

    def __init__(self, port: int) -> None:
        self._local = f"http://127.0.0.1:{port}"
        self._latency = 0.0

    @property
    def url(self) -> str:
        return f"http://{_NAME}.{NAMESPACE}.svc:{_PORT}/v1"

    @property
    def local_url(self) -> str:
        return f"{self._local}/v1"

    def url_of(self, fault: str) -> str:
        return self.url.replace("/v1", f"/err{fault}/v1")

    @property
    def stats(self) -> Stats:
        return Stats(**self._ask("GET", "/stats"))

    @property
    def latency(self) -> float:
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._latency = seconds
        self._ask("POST", "/control", {"latency": seconds})

    def fail_from(self, call: int, fault: str) -> None:
        self._ask("POST", "/control", {"fail_from": [call, fault]})

    def reset(self) -> None:
        self._ask("POST", "/reset")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Until it answers: the way there leads through the API server, which tests take away. Twice does no harm."""

        def answered() -> httpx.Response | None:
            try:
                return httpx.request(method, f"{self._local}{path}", json=body, timeout=10)
            except httpx.TransportError:
                return None

        answer = wait_for(answered, timeout=90, interval=0.5, what=f"the scripted model to answer {path}")
        assert answer is not None
        return dict(answer.raise_for_status().json())


@contextmanager
def model_pod(kubeconfig: Path, image: str, home: Path) -> Iterator[ModelPod]:
    """Left where it is: the next run finds it there, and `make cluster-down` takes it along."""
    kubectl = Kubectl(kubeconfig, NAMESPACE, home)
    for manifest in (_namespace(), _scripts(), _deployment(image), _service()):
        kubectl.apply(manifest)
    kubectl.run("rollout", "status", f"deployment/{_NAME}", "--timeout=120s", timeout=130)
    with forwarded(kubectl, f"service/{_NAME}", _PORT) as port:
        model = ModelPod(port)
        model.reset()
        model.latency = 0.0
        yield model


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _scripts() -> dict[str, Any]:
    files = [*(Path(__file__).parent / name for name in SCRIPTS), DATASET]
    data = {path.name: path.read_text() for path in files}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _NAME}, "data": data}


def _deployment(image: str) -> dict[str, Any]:
    container = {
        "name": "model",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", *_ARGUMENTS, *_DATA],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "scripts", "configMap": {"name": _NAME}}]}
    labels = {"app": _NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def _service() -> dict[str, Any]:
    spec = {"selector": {"app": _NAME}, "ports": [{"port": _PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": _NAME}, "spec": spec}
