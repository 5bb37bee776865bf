"""Versions of one resource, as a watch tells of them."""

from typing import Any

from api_service import resource
from dspy_service_core.kube.protocol import Object


def version(name: str, uid: str, number: int, **changes: Any) -> Object:
    made = resource(name)
    made["metadata"] |= {
        "uid": uid,
        "namespace": "default",
        "resourceVersion": str(number),
        "creationTimestamp": "2026-03-01T09:30:00Z",
    }
    return made | changes
