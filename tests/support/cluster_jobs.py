"""Jobs on a real cluster, as its API server shows them: what they are, where they run, how they end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from dspy_service_core.kube.resources import EVENTS, JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.resource import names
from examples import applied_example
from kube_http import KubeHttp, NotNow, ok
from under_test import Model
from unique import unique
from waiting import wait_for

ENDS = {"Succeeded", "Failed", "Cancelled"}
Object = dict[str, Any]
T = TypeVar("T")


def spread(model: Model, calls: int, **spec: Any) -> Object:
    """A job of one model call at a time, some `calls` in all, and a name of its own."""
    document = applied_example(model, unique("fault"))
    rows = calls // 4
    document["spec"] |= {
        "optimizer": {
            "name": "dspy.BootstrapFewShotWithRandomSearch",
            "kwargs": {
                "num_candidate_programs": 1,
                "max_bootstrapped_demos": 2,
                "max_labeled_demos": 2,
                "num_threads": 1,
            },
        },
        "dataset": {"rows": document["spec"]["dataset"]["rows"][:rows]},
        "split": {"train": "0.3", "val": "0.4", "test": "0.3", "seed": 7},
    }
    document["spec"] |= spec
    return document


def metric(code: str) -> Mapping[str, str]:
    """For `spec.metric`: the code runs each time before the score is told."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    return {"code": f"def metric(gold, pred, trace=None):\n{body}    return gold.team == pred.team\n"}


def awaited(look: Callable[[], T | None], timeout: float, what: str) -> T:
    """`wait_for` on the API server: a look that gets no answer saw nothing."""

    def looked() -> T | None:
        try:
            return look()
        except (httpx.TransportError, NotNow):
            return None

    found = wait_for(looked, timeout=timeout, interval=0.2, what=what)
    assert found is not None
    return found


@dataclass(frozen=True)
class ClusterJobs:
    """In one namespace, as whoever the kubeconfig names."""

    api: KubeHttp
    namespace: str

    def create(self, document: Object) -> str:
        return str(ok(self.api.post(OPTIMIZATION_JOBS.path(self.namespace), document))["metadata"]["name"])

    def change(self, name: str, **spec: Any) -> None:
        ok(self.api.patch(OPTIMIZATION_JOBS.path(self.namespace, name), {"spec": spec}))

    def remove(self, name: str) -> None:
        self.api.delete(OPTIMIZATION_JOBS.path(self.namespace, name))

    def get(self, name: str) -> Object:
        return dict(ok(self.api.get(OPTIMIZATION_JOBS.path(self.namespace, name))))

    def status(self, name: str) -> Object:
        return dict(self.get(name).get("status") or {})

    def conditions(self, name: str) -> dict[str, Object]:
        return {condition["type"]: condition for condition in self.status(name).get("conditions") or ()}

    def pods(self, name: str) -> list[Object]:
        return self._children(PODS.path(self.namespace), name)

    def attempts(self, name: str) -> list[Object]:
        """The batch/v1 Jobs."""
        return self._children(JOBS.path(self.namespace), name)

    def events(self, name: str) -> list[Object]:
        uid = self.get(name)["metadata"]["uid"]
        path = EVENTS.path(self.namespace)
        return list(ok(self.api.get(path, fieldSelector=f"involvedObject.uid={uid}"))["items"])

    def says(self, name: str, reason: str, timeout: float = 90) -> str:
        """The job's message once a condition that has not ended it names that reason."""

        def said() -> str:
            status = self.status(name)
            assert status.get("phase") not in ENDS, status
            waiting = [c for c in status.get("conditions") or () if c["type"] in ("Queued", "Started")]
            return status["message"] if reason in {c["reason"] for c in waiting} else ""

        return awaited(said, timeout, f"{name} to say {reason}: {self.status(name)}")

    def ended(self, name: str, timeout: float = 240) -> Object:
        """The last status."""

        def end() -> Object | None:
            status = self.status(name)
            return status if status.get("phase") in ENDS else None

        return awaited(end, timeout, f"{name} to end")

    def runs(self, name: str, attempt: int = 1, timeout: float = 120) -> Object:
        """The pod of that attempt once its preflight has passed, and the operator has taken note of it."""

        def pod() -> Object | None:
            status = self.status(name)
            assert status.get("phase") not in ENDS, status
            run, recorded = status.get("run") or {}, status.get("attempt") or {}
            if recorded.get("number", 0) < attempt or run.get("podUID") != recorded["podUID"]:
                return None
            if (status["phase"], run.get("stage")) != ("Running", "Running"):
                return None
            return next((p for p in self.pods(name) if p["metadata"]["uid"] == recorded["podUID"]), None)

        return awaited(pod, timeout, f"attempt {attempt} of {name} to run")

    def undisturbed_calls(self, model: Model, *calls: int) -> int:
        """Model calls that `spread` jobs of so many make together when nothing happens to them."""
        model.reset()
        made = [self.create(spread(model, each)) for each in calls]
        assert {self.ended(name)["phase"] for name in made} == {"Succeeded"}
        for name in made:
            self.remove(name)
        return model.stats.calls

    def _children(self, path: str, name: str) -> list[Object]:
        return list(ok(self.api.get(path, labelSelector=f"{names.LABEL_JOB}={name}"))["items"])
