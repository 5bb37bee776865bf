"""The peer of jobs on a real cluster: bare batch/v1 Jobs of the very pod that the operator makes, with no service.

The spec is a real runner Job's, taken from the cluster: same image, resources, volumes, token, security settings,
sidecar and grace period. Of its two containers the optimizer does the same DSPy work on the same model server
(`bare_job.py`), and the sidecar is a Python process that waits for its end.
"""

import json
import time
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspy_service_core.kube.resources import CONFIG_MAPS, JOBS, PODS
from dspy_service_core.resource import names
from kube_http import KubeHttp, ok
from kubectl import Kubectl
from payloads import DATASET
from waiting import wait_for

Object = dict[str, Any]

LABEL = "dspy-service-bench"
_ROOT = Path(__file__).parents[2]
_FILES = {path.name: path for path in (_ROOT / "bench/peers/bare_job.py", _ROOT / "tests/support/payloads.py", DATASET)}
_HOME = "/bench"
_IDLE = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); signal.sigwait([15])"
"""As process 1 of its container it has no default handlers: unheeded, the SIGTERM would cost the grace period."""
_END_SECONDS = 1800


@dataclass(frozen=True)
class Start:
    """Of one bare Job, in seconds after it was created: its work's first line, and dspy there."""

    began: float
    imported: float


class BarePods:
    def __init__(self, kubectl: Kubectl, http: KubeHttp, runner_job: Object, model: str) -> None:
        self._kubectl, self._http, self._model = kubectl, http, model
        self._runner_job = runner_job
        self._remove()  # what a run that was broken off has left
        self._apply_files()

    def start(self, name: str) -> Start:
        """One, to its end."""
        created = time.time()
        ok(self._http.post(JOBS.path(self._kubectl.namespace), self._manifest(name)))
        self._await_complete([name], pause=0.1)
        pods = self._http.get(PODS.path(self._kubectl.namespace), labelSelector=f"job-name={name}")
        log = PODS.path(self._kubectl.namespace, ok(pods)["items"][0]["metadata"]["name"], "log")
        began, imported = self._http.get(log, container="optimizer").text.split()[:2]
        self._remove()
        return Start(float(began) - created, float(imported) - created)

    def at_once(self, count: int) -> float:
        """Seconds from kubectl's start to the last Job's Complete."""
        wanted = [f"{LABEL}-{number}" for number in range(count)]
        manifest = {"apiVersion": "v1", "kind": "List", "items": [self._manifest(name) for name in wanted]}
        began = time.time()
        self._kubectl.run("create", "-f", "-", stdin=json.dumps(manifest), timeout=_END_SECONDS)
        self._await_complete(wanted, pause=0.5)
        took = time.time() - began
        self._remove()
        return took

    def _manifest(self, name: str) -> Object:
        spec = deepcopy(self._runner_job["spec"])
        kept = ("backoffLimit", "completions", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
        pod = spec["template"]["spec"]
        self._make_idle(pod["initContainers"][0])
        self._make_bare(pod["containers"][0])
        items = [{"key": key, "path": str(path.relative_to(_ROOT))} for key, path in _FILES.items()]
        pod["volumes"].append({"name": LABEL, "configMap": {"name": LABEL, "items": items}})
        labels = {LABEL: "true"}
        return {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "metadata": {"name": name, "labels": labels},
            "spec": {key: spec[key] for key in kept} | {"template": {"metadata": {"labels": labels}, "spec": pod}},
        }

    def _make_idle(self, reporter: Object) -> None:
        reporter |= {"command": ["python", "-c", _IDLE], "args": []}

    def _make_bare(self, optimizer: Object) -> None:
        optimizer |= {"command": ["python", f"{_HOME}/bench/peers/bare_job.py"], "args": ["once", self._model]}
        optimizer["env"].append({"name": "PYTHONPATH", "value": f"{_HOME}/tests/support"})
        optimizer["volumeMounts"].append({"name": LABEL, "mountPath": _HOME})

    def _apply_files(self) -> None:
        data = {key: path.read_text() for key, path in _FILES.items()}
        self._kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": CONFIG_MAPS.kind,
                "metadata": {"name": LABEL, "labels": {LABEL: "true"}},
                "data": data,
            }
        )

    def _await_complete(self, wanted: Iterable[str], pause: float) -> None:
        """A pause as long as that after which our jobs are looked at: a hundred Jobs are half a megabyte a look."""
        pending = set(wanted)

        def complete() -> bool:
            listed = ok(self._http.get(JOBS.path(self._kubectl.namespace), labelSelector=LABEL))["items"]
            for job in listed:
                ended = {c["type"] for c in job["status"].get("conditions") or () if c["status"] == "True"}
                if "Failed" in ended:
                    raise SystemExit(f"the bare Job {job['metadata']['name']} failed")
                if "Complete" in ended:
                    pending.discard(job["metadata"]["name"])
            return not pending

        wait_for(complete, timeout=_END_SECONDS, interval=pause, what="the bare Jobs to complete")

    def _remove(self) -> None:
        self._kubectl.run("delete", "jobs", "-l", LABEL, "--wait=true", timeout=_END_SECONDS)


def runner_job(http: KubeHttp, namespace: str, job_id: str) -> Object:
    """What the operator made of a job of the HTTP API."""
    selector = f"{names.LABEL_JOB}={names.api_job(job_id)}"
    return wait_for(lambda: next(iter(ok(http.get(JOBS.path(namespace), labelSelector=selector))["items"]), None))
