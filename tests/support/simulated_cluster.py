"""A cluster in memory that moves only when a test says so: API server, Job controller, kubelet and reporter.

For the operator's tests, and a transport like any other to its client. It is not the embedded API server, because these
tests need every order of things, thousands of them a second: watches deliver one event at a time, may lag behind each
other and may lose events; writes may fail before or after they took effect; nothing happens in the background; uids and
the clock are the test's.
"""

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Object, Transport
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS, Resource
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time, timestamp
from dspy_service_local.apiserver.objects.patches import merge
from faulty_transport import refusal

Key = tuple[str, str]
GRACE_SECONDS = 30


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class SimulatedApi(Transport):
    """`fail_next` breaks the next write; `log` holds every event that a watch could tell."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.client = KubeClient(self)
        self.objects: dict[str, dict[Key, Object]] = {}
        self.log: list[tuple[str, Literal["ADDED", "MODIFIED", "DELETED"], Object]] = []
        self.writes: list[tuple[str, str, str]] = []
        self.reads: list[tuple[str, str]] = []
        self.fail_next: Literal["", "before", "after"] = ""
        self.refusal: errors.KubeError | None = None
        """Raised by the next create of a Job."""
        self._version = 0
        self._uid = 0

    # --- Transport

    async def send(self, request: KubeRequest) -> KubeResponse:
        try:
            return KubeResponse(200, orjson.dumps(self._answer(request)))
        except errors.Unavailable:
            raise
        except errors.KubeError as exc:
            return refusal(exc)

    def _answer(self, request: KubeRequest) -> Object:
        body = orjson.loads(request.body) if request.body else {}
        if request.verb in ("get", "list"):
            self.reads.append((request.verb, request.resource.plural))
            return self._existing(request) if request.verb == "get" else self._page(request)
        self._break("before")
        obj = self._changed(request, body)
        self.writes.append((request.verb, request.resource.plural, f"{obj['metadata']['name']}{_below(request)}"))
        self._break("after")
        return obj

    def _changed(self, request: KubeRequest, body: Object) -> Object:
        match request.verb:
            case "create":
                return self._created(request, body)
            case "patch":
                return self._patched(request, body)
            case "delete":
                obj = self._existing(request)
                if body.get("preconditions", {}).get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
                    raise errors.Conflict("the UID in the precondition differs")
                self.remove(request.resource, obj)
                return obj
        raise NotImplementedError(request.verb)

    def _created(self, request: KubeRequest, body: Object) -> Object:
        resource, place, name = request.resource, request.namespace or "default", body["metadata"]["name"]
        if resource is JOBS and self.refusal is not None:
            given, self.refusal = self.refusal, None
            raise given
        if (place, name) in self.objects.get(resource.plural, {}):
            raise errors.AlreadyExists(f'{resource.plural} "{name}" already exists')
        return self.add(resource, body, place)

    def _patched(self, request: KubeRequest, body: Object) -> Object:
        old = self._existing(request)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != old["metadata"]["resourceVersion"]:
            raise errors.Conflict("the object has been modified")
        kept = {"status": body["status"]} if request.subresource else {k: v for k, v in body.items() if k != "status"}
        return self.change(request.resource, old, merge(old, kept))

    def _page(self, request: KubeRequest) -> Object:
        query = request.query
        found = [
            obj
            for (place, _), obj in self.objects.get(request.resource.plural, {}).items()
            if request.namespace in (None, place)
            and selected(obj, query.get("labelSelector", ""))
            and _has_fields(obj, query.get("fieldSelector", ""))
        ]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0))
        end = start + limit if limit else len(found)
        metadata = {"resourceVersion": str(self._version), "continue": str(end) if end < len(found) else ""}
        return {"metadata": metadata, "items": found[start:end]}

    # --- what everybody else does to the cluster

    def add(self, resource: Resource, body: Object, namespace: str = "default") -> Object:
        self._uid += 1
        obj = copy.deepcopy(body)
        metadata = {
            "uid": f"uid-{self._uid}",
            "generation": 1,
            "creationTimestamp": timestamp(self.clock()),
            **obj["metadata"],
            "namespace": namespace,
        }
        obj["metadata"] = metadata
        self._store(resource, obj, "ADDED")
        return copy.deepcopy(obj)

    def change(self, resource: Resource, old: Object, new: Object) -> Object:
        if new == old:
            return copy.deepcopy(old)
        obj = copy.deepcopy(new)
        if new.get("spec") != old.get("spec"):
            obj["metadata"]["generation"] += 1
        self._store(resource, obj, "MODIFIED")
        return copy.deepcopy(obj)

    def remove(self, resource: Resource, obj: Object) -> None:
        """Background propagation. A pod that still runs is only asked to end."""
        metadata = obj["metadata"]
        if metadata.get("finalizers"):
            if not metadata.get("deletionTimestamp"):
                self.change(resource, obj, merge(obj, {"metadata": {"deletionTimestamp": timestamp(self.clock())}}))
            return
        if resource is PODS and obj.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            if not metadata.get("deletionTimestamp"):
                gone_by = timestamp(self.clock() + timedelta(seconds=GRACE_SECONDS))
                self.change(PODS, obj, merge(obj, {"metadata": {"deletionTimestamp": gone_by}}))
            return
        if self.objects[resource.plural].pop(_key(obj), None) is None:
            return
        self._version += 1
        last = copy.deepcopy(obj)
        last["metadata"]["resourceVersion"] = str(self._version)
        self.log.append((resource.plural, "DELETED", last))
        for kind in (JOBS, PODS):
            for child in list(self.objects.get(kind.plural, {}).values()):
                if any(o["uid"] == metadata["uid"] for o in child["metadata"].get("ownerReferences") or ()):
                    self.remove(kind, child)

    def all(self, resource: Resource) -> Sequence[Object]:
        return tuple(self.objects.get(resource.plural, {}).values())

    def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        return self.objects.get(resource.plural, {}).get((namespace, name))

    def _store(self, resource: Resource, obj: Object, event: Literal["ADDED", "MODIFIED"]) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects.setdefault(resource.plural, {})[_key(obj)] = obj
        self.log.append((resource.plural, event, copy.deepcopy(obj)))

    def _existing(self, request: KubeRequest) -> Object:
        plural = request.resource.plural
        obj = self.objects.get(plural, {}).get((request.namespace or "default", request.name))
        if obj is None:
            raise errors.NotFound(f'{plural} "{request.name}" not found')
        return obj

    def _break(self, when: str) -> None:
        if self.fail_next == when:
            self.fail_next = ""
            raise errors.Unavailable("the API server does not answer", sent=when == "after")


class SimulatedNodes:
    """Job controller, kubelet and reporter of that cluster, one step at a time."""

    def __init__(self, api: SimulatedApi) -> None:
        self.api = api
        self.passed: set[str] = set()
        """Pods whose reporter let user code run: theirs was the recorded one."""

    def control_jobs(self) -> None:
        for job in self.api.all(JOBS):
            if any(c["status"] == "True" for c in job.get("status", {}).get("conditions") or ()):
                continue
            pods = [pod for pod in self.api.all(PODS) if _owned(pod, job)]
            if not pods and "made" not in job.get("status", {}):
                self._make_pod(job)
            elif not pods or all(_phase(pod) == "Failed" for pod in pods):
                self._conclude(job, "Failed", "BackoffLimitExceeded")
            elif any(_phase(pod) == "Succeeded" for pod in pods):
                self._conclude(job, "Complete", "CompletionsReached")

    def start(self, pod: Object) -> None:
        if _phase(pod) == "Pending" and not pod["metadata"].get("deletionTimestamp"):
            self._pod_status(pod, {"phase": "Running", "containerStatuses": [_container({"running": {}})]})

    def begin(self, pod: Object) -> None:
        """The reporter's fence, then the preflight."""
        attempt = self._recorded(pod)
        if _phase(pod) == "Running" and attempt is not None and not self._lost(pod):
            self.passed.add(pod["metadata"]["uid"])
            self.report(pod, stage="Running", startedAt=timestamp(self.api.clock()))

    def report(self, pod: Object, **run: Any) -> None:
        """Only as the recorded pod, as the admission policy has it."""
        attempt = self._recorded(pod)
        uid = pod["metadata"]["uid"]
        if attempt is None or uid not in self.passed or _phase(pod) != "Running":
            return
        resource = self._resource(pod)
        assert resource is not None
        words = {"attempt": attempt["number"], "podUID": uid, **run}
        self.api.change(OPTIMIZATION_JOBS, resource, merge(resource, {"status": {"run": words}}))

    def finish(self, pod: Object, outcome: str) -> None:
        self.report(pod, stage="Ended", result={"outcome": outcome, "reason": outcome, "message": outcome})
        resource = self._resource(pod)
        if resource is not None and (resource["status"].get("run") or {}).get("result"):
            self.exit(pod, 0)

    def exit(self, pod: Object, code: int, reason: str = "Error", **status: Any) -> None:
        if _phase(pod) in ("Succeeded", "Failed"):
            return
        state = {"terminated": {"exitCode": code, "reason": reason}}
        phase = "Failed" if code else "Succeeded"
        self._pod_status(pod, {"phase": phase, "containerStatuses": [_container(state)], **status})

    def evict(self, pod: Object) -> None:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        self.exit(pod, 143, conditions=[condition])

    def reap(self) -> None:
        """The kubelet ends pods that are to be deleted."""
        for pod in self.api.all(PODS):
            if pod["metadata"].get("deletionTimestamp"):
                self.exit(pod, 143)
                self.api.remove(PODS, self.api.objects[PODS.plural][_key(pod)])

    def running_code(self, resource: str) -> list[str]:
        """Pods of that job that may run user code now; a lost node's pod is cut off from the cluster."""
        return [
            pod["metadata"]["name"]
            for pod in self.api.all(PODS)
            if pod["metadata"]["labels"][names.LABEL_JOB] == resource
            and pod["metadata"]["uid"] in self.passed
            and _phase(pod) == "Running"
            and not self._lost(pod)
        ]

    def _make_pod(self, job: Object) -> None:
        metadata = job["metadata"]
        self.api.add(
            PODS,
            {
                "metadata": {
                    "name": f"{metadata['name']}-abcde",
                    "labels": job["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [{"uid": metadata["uid"], "controller": True}],
                },
                "spec": {"nodeName": "simulated"},
                "status": {"phase": "Pending"},
            },
        )
        self.api.change(JOBS, job, merge(job, {"status": {"made": True}}))

    def _conclude(self, job: Object, kind: str, reason: str) -> None:
        condition = {"type": kind, "status": "True", "reason": reason}
        self.api.change(JOBS, job, merge(job, {"status": {"conditions": [condition]}}))

    def _pod_status(self, pod: Object, status: Object) -> None:
        current = self.api.objects[PODS.plural][_key(pod)]
        self.api.change(PODS, current, merge(current, {"status": status}))

    def _recorded(self, pod: Object) -> Object | None:
        resource = self._resource(pod)
        attempt = ((resource or {}).get("status") or {}).get("attempt") or {}
        return attempt if attempt.get("podUID") == pod["metadata"]["uid"] else None

    def _resource(self, pod: Object) -> Object | None:
        return self.api.find(OPTIMIZATION_JOBS, pod["metadata"]["labels"][names.LABEL_JOB])

    def _lost(self, pod: Object) -> bool:
        deleted = parse_time(pod["metadata"].get("deletionTimestamp"))
        return deleted is not None and self.api.clock() > deleted


def selected(obj: Object, selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        name, _, value = part.partition("=")
        if part.startswith("!"):
            if part[1:] in labels:
                return False
        elif name not in labels or ("=" in part and labels[name] != value):
            return False
    return True


def _has_fields(obj: Object, selector: str) -> bool:
    for part in filter(None, selector.split(",")):
        path, _, value = part.partition("=")
        found: Any = obj
        for name in path.split("."):
            found = (found or {}).get(name)
        if found != value:
            return False
    return True


def _below(request: KubeRequest) -> str:
    return f"/{request.subresource}" if request.subresource else ""


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _phase(pod: Object) -> str:
    return str(pod["status"]["phase"])


def _owned(child: Object, owner: Object) -> bool:
    return any(o["uid"] == owner["metadata"]["uid"] for o in child["metadata"].get("ownerReferences") or ())


def _container(state: Object) -> Object:
    return {"name": "optimizer", "state": json.loads(json.dumps(state))}
