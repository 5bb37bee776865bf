"""Access and token reviews, as `kubectl auth can-i` and `whoami` ask for them: the administrator may do everything."""

from collections.abc import Callable, Mapping
from typing import Any

_USER = {"username": "administrator", "groups": ["system:masters", "system:authenticated"]}


def _access(body: Any) -> dict[str, Any]:
    return dict(body) | {"status": {"allowed": True}}


def _self(body: Any) -> dict[str, Any]:
    return dict(body) | {"status": {"userInfo": _USER}}


REVIEWS: Mapping[str, tuple[str, str, Callable[[Any], dict[str, Any]]]] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        _access,
    ),
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": ("selfsubjectreviews", "SelfSubjectReview", _self),
}


def review(path: str) -> Callable[[Any], dict[str, Any]] | None:
    found = REVIEWS.get(path)
    return found[2] if found else None
