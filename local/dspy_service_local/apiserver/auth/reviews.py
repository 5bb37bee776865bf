"""Token and access reviews: what `kubectl auth can-i` and `whoami` ask, and services about those who call them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.auth.rbac import Access, allowed
from dspy_service_local.apiserver.auth.tokens import AUDIENCE, AccountIdentity, Identity, TokenStore, User
from dspy_service_local.apiserver.objects.operations import Operations

_SELF_ACCESS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
_SELF = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """What reviews are judged by; `caller` is who asks."""

    operations: Operations
    tokens: TokenStore
    caller: Identity


def _of_token(spec: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    wanted = list(spec.get("audiences") or (AUDIENCE,))
    owner = bench.tokens.owner(str(spec.get("token", "")), bench.operations.clock())
    own = owner.audiences if isinstance(owner, AccountIdentity) else (AUDIENCE,)
    if owner is None or not (common := [audience for audience in wanted if audience in own]):
        return {"authenticated": False, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _info(owner.user), "audiences": common}


def _of_access(spec: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    if not spec.get("user") and not spec.get("groups"):
        raise refusals.bad_request("spec.user: Required value: at least one of user or group must be specified")
    groups = tuple(spec.get("groups") or ())
    return _verdict(spec, bench, User(str(spec.get("user", "")), groups))


def _of_own_access(spec: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    return _verdict(spec, bench, bench.caller.user)


def _of_self(spec: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    return {"userInfo": _info(bench.caller.user)}


def _verdict(spec: Mapping[str, Any], bench: Bench, user: User) -> dict[str, Any]:
    asked = spec.get("resourceAttributes") or {}
    words = ("verb", "group", "resource", "subresource", "namespace", "name")
    access = Access(**{word: str(asked.get(word, "")) for word in words})
    return {"allowed": allowed(bench.operations.storage, user, access)}


def _info(user: User) -> dict[str, Any]:
    return {"username": user.name, "groups": list(user.groups)} | ({"uid": user.uid} if user.uid else {})


REVIEWS: Mapping[str, tuple[Resource, Callable[[Mapping[str, Any], Bench], dict[str, Any]]]] = {
    resource.path(): (resource, judge)
    for resource, judge in (
        (TOKEN_REVIEWS, _of_token),
        (SUBJECT_ACCESS_REVIEWS, _of_access),
        (_SELF_ACCESS, _of_own_access),
        (_SELF, _of_self),
    )
}
_ABOUT_ONESELF = frozenset({_SELF_ACCESS.path(), _SELF.path()})


def is_review(path: str) -> bool:
    return path in REVIEWS


def reviewed(path: str, body: Any, bench: Bench) -> dict[str, Any]:
    resource, judge = REVIEWS[path]
    access = Access("create", resource.group, resource.plural)
    if path not in _ABOUT_ONESELF and not allowed(bench.operations.storage, bench.caller.user, access):
        raise refusals.forbidden(resource, "", f'User "{bench.caller.user.name}" cannot create them')
    if not isinstance(body, dict):
        raise refusals.bad_request("a review must be an object")
    return body | {"status": judge(body.get("spec") or {}, bench)}
