"""What Kubernetes itself sets and checks on the built-in kinds, as far as our code relies on it. Pure."""

import base64
import binascii
import re
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.refusals import Problem, invalid_value

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_TERMINATION_SECONDS = 30
_IMMUTABLE = "field is immutable"


def prepare_namespace(obj: Object, now: str) -> None:
    metadata = obj["metadata"]
    metadata["labels"] = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": metadata["name"]}
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def prepare_pod(obj: Object, now: str) -> None:
    spec = obj.get("spec")
    if isinstance(spec, dict):
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", _TERMINATION_SECONDS)
    obj["status"] = {"phase": "Pending"}


def pod_grace(obj: Object, asked: int | None) -> int:
    """A pod that no node has, or that has ended, needs no time to stop."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    return asked if asked is not None else int(spec.get("terminationGracePeriodSeconds", _TERMINATION_SECONDS))


def check_pod(obj: Object, old: Object | None) -> list[Problem]:
    return [] if obj["spec"].get("containers") else [refusals.required("spec.containers")]


def prepare_job(obj: Object, now: str) -> None:
    spec = obj.get("spec")
    obj.pop("status", None)
    obj["status"] = {}
    if not isinstance(spec, dict) or not isinstance(spec.get("template"), dict):
        return
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completions", 1)
    spec.setdefault("parallelism", 1)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    if not spec.get("manualSelector"):
        _select_own_pods(obj["metadata"], spec)


def _select_own_pods(metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    uid, name = metadata["uid"], metadata["name"]
    template = spec["template"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    inner = dict(template.get("metadata") or {})
    inner["labels"] = (inner.get("labels") or {}) | labels
    spec["template"] = template | {"metadata": inner}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def check_job(obj: Object, old: Object | None) -> list[Problem]:
    spec = obj["spec"]
    pod = spec["template"].get("spec") or {}
    found = []
    if not pod.get("containers"):
        found.append(refusals.required("spec.template.spec.containers"))
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        policy = pod.get("restartPolicy", "")
        found.append(refusals.not_supported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never")))
    for field in ("template", "selector", "completionMode"):
        if old is not None and spec.get(field) != old["spec"].get(field):
            found.append(invalid_value(f"spec.{field}", spec.get(field), _IMMUTABLE))
    return found


def fill_secret(obj: Object) -> None:
    text = obj.pop("stringData", None)
    if isinstance(text, dict) and text:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        obj["data"] = (obj.get("data") or {}) | encoded
    obj.setdefault("type", "Opaque")


def check_secret(obj: Object, old: Object | None) -> list[Problem]:
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as exc:
            raise refusals.bad_request(
                f'Secret in version "v1" cannot be handled as a Secret: data.{key}: {exc}'
            ) from exc
    found = check_data(obj, old)
    if old is not None and obj["type"] != old.get("type"):
        found.append(invalid_value("type", obj["type"], _IMMUTABLE))
    return found


def check_data(obj: Object, old: Object | None) -> list[Problem]:
    why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    found = [
        invalid_value(f"{section}[{key}]", key, why)
        for section in ("data", "binaryData")
        for key in obj.get(section) or ()
        if not _DATA_KEY.fullmatch(key)
    ]
    if old is None or not old.get("immutable"):
        return found
    return found + [
        refusals.forbidden_field(section, "field is immutable when `immutable` is set")
        for section in ("data", "binaryData", "immutable")
        if obj.get(section) != old.get(section)
    ]


def check_event(obj: Object, old: Object | None) -> list[Problem]:
    about = (obj.get("involvedObject") or {}).get("namespace", "")
    namespace = obj["metadata"]["namespace"]
    if about and about != namespace:
        return [invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def prepare_claim(obj: Object, now: str) -> None:
    obj["status"] = {"phase": "Pending"}
