"""What of Kubernetes' RBAC a request asks for: POST /run needs what `kubectl create` would need. Pure."""

from dataclasses import dataclass
from typing import Literal

from dspy_service_core import names

Verb = Literal["create", "list", "get", "delete"]


@dataclass(frozen=True, slots=True)
class Demand:
    """`name` is the resource's; empty for the verbs on all of them."""

    verb: Verb
    name: str = ""


def demand_of(method: str, path: str) -> Demand | None:
    """None for what concerns no job: documents, and paths that lead nowhere."""
    first, *rest = path.removeprefix("/").split("/")
    if first == "run":
        return Demand("create")
    if first != "jobs":
        return None
    job_id = rest[0] if rest else ""
    if not job_id:
        return Demand("list")
    return Demand("delete" if method == "DELETE" else "get", names.resource_name(job_id))
