"""What a token allows: everything to the administrator, what RBAC says to a service account, and its own report to a
pod (in a cluster RBAC and a ValidatingAdmissionPolicy say the same).

A pod may read its own OptimizationJob and merge its own part, `status.run`, into the status, while the operator's
record names it as the current attempt. Everything else is forbidden.
"""

from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.auth.rbac import Access, allowed
from dspy_service_local.apiserver.auth.tokens import AccountIdentity, Identity, PodIdentity
from dspy_service_local.apiserver.objects.operations import Guard
from dspy_service_local.apiserver.routes import Target
from dspy_service_local.apiserver.storage.storage import Storage

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def guard_of(storage: Storage, identity: Identity, method: str, target: Target) -> Guard | None:
    """Raises Forbidden, or gives what the change itself must be checked with."""
    if isinstance(identity, AccountIdentity):
        _require_role(storage, identity, method, target)
    return _pod_guard(identity, method, target) if isinstance(identity, PodIdentity) else None


def _require_role(storage: Storage, identity: AccountIdentity, method: str, target: Target) -> None:
    resource, verb = target.kind.resource, _verb(method, target)
    access = Access(verb, resource.group, resource.plural, target.subresource, target.namespace, target.name)
    if not allowed(storage, identity.user, access):
        where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        raise refusals.forbidden(
            resource,
            target.name,
            f'User "{identity.user.name}" cannot {verb} resource "{resource.plural}" in API group "{resource.group}"'
            f"{where}",
        )


def _verb(method: str, target: Target) -> str:
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if method in ("GET", "HEAD"):
        return "watch" if target.watch else "get" if target.name else "list"
    return _VERBS.get(method, method.lower())


def _pod_guard(identity: PodIdentity, method: str, target: Target) -> Guard | None:
    resource = target.kind.resource
    own = (
        (resource.group, resource.plural) == (OPTIMIZATION_JOBS.group, OPTIMIZATION_JOBS.plural)
        and (target.namespace, target.name) == (identity.namespace, identity.job)
        and not target.watch
    )
    if own and method == "GET" and target.subresource in ("", "status"):
        return None
    if own and method == "PATCH" and target.subresource == "status":
        return lambda old, new: _require_own_part(identity, old, new)
    raise refusals.forbidden(
        resource,
        target.name,
        f'the pod\'s token cannot {method} resource "{resource.plural}" in API group "{resource.group}" in namespace'
        f' "{target.namespace}"',
    )


def _require_own_part(identity: PodIdentity, old: Object, new: Object) -> None:
    name = str(old["metadata"]["name"])
    status, after = old.get("status") or {}, new.get("status") or {}
    if (status.get("attempt") or {}).get("podUID") != identity.pod_uid:
        raise _denied(name, "the pod is not the job's current attempt")
    others = {key: value for key, value in status.items() if key != "run"}
    if others != {key: value for key, value in after.items() if key != "run"}:
        raise _denied(name, "a runner may change status.run alone")


def _denied(name: str, why: str) -> Exception:
    """422, as an admission policy denies."""
    message = f'{refusals.qualified(OPTIMIZATION_JOBS)} "{name}" is forbidden: {why}'
    return refusals.failure(422, "Invalid", message, {"name": name, "kind": OPTIMIZATION_JOBS.plural})
