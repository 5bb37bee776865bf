"""Asks the cluster whose token this is (TokenReview) and whether they may do it (SubjectAccessReview).

Answers are kept for a short while, under a digest of the token that is keyed by a secret of this process: the token
itself is not kept, and the digest is useless to anybody who reads it.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from cachetools import TLRUCache

from dspy_service_api.http.access.permissions import Permission
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS

_MOST_KEPT = 10_000
_REFUSAL_SECONDS = 2.0
"""A refusal is kept no longer than this, so that a newly given role takes effect at once."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The user as the TokenReview describes them; the SubjectAccessReview takes the same fields unchanged."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The cluster does not accept the token; `reason` is what it says."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReviewResult:
    allowed: bool
    reason: str


class Reviews:
    """With `keep_seconds` 0, every request is asked about anew."""

    def __init__(
        self,
        cluster: KubeClient,
        namespace: str,
        audiences: tuple[str, ...],
        keep_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._audiences = audiences
        self._keep_seconds = keep_seconds
        self._key = secrets.token_bytes(32)
        self._callers: TLRUCache[bytes, Caller | Unknown] = TLRUCache(_MOST_KEPT, self._until, timer=clock)
        self._verdicts: TLRUCache[tuple[bytes, Permission], ReviewResult] = TLRUCache(
            _MOST_KEPT, self._until, timer=clock
        )

    async def caller(self, token: bytes) -> Caller | Unknown:
        digest = self._digest(token)
        if (kept := self._callers.get(digest)) is not None:
            return kept
        spec: Object = {"token": token.decode("latin-1")}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        reviewed = await self._cluster.create(TOKEN_REVIEWS, _body(TOKEN_REVIEWS.api_version, "TokenReview", spec))
        found = self._callers[digest] = _caller(reviewed.get("status") or {}, frozenset(self._audiences))
        return found

    async def verdict(self, token: bytes, caller: Caller, permission: Permission) -> ReviewResult:
        key = (self._digest(token), permission)
        if (kept := self._verdicts.get(key)) is not None:
            return kept
        spec = _access(caller, permission, self._namespace)
        body = _body(SUBJECT_ACCESS_REVIEWS.api_version, "SubjectAccessReview", spec)
        status = (await self._cluster.create(SUBJECT_ACCESS_REVIEWS, body)).get("status") or {}
        allowed = bool(status.get("allowed")) and not status.get("denied")
        found = self._verdicts[key] = ReviewResult(allowed, str(status.get("reason") or ""))
        return found

    def _until(self, _: object, answer: Caller | Unknown | ReviewResult, now: float) -> float:
        refused = isinstance(answer, Unknown) or (isinstance(answer, ReviewResult) and not answer.allowed)
        return now + (min(self._keep_seconds, _REFUSAL_SECONDS) if refused else self._keep_seconds)

    def _digest(self, token: bytes) -> bytes:
        return blake2b(token, key=self._key, digest_size=32).digest()


def _body(api_version: str, kind: str, spec: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": spec}


def _caller(status: Mapping[str, Any], audiences: frozenset[str]) -> Caller | Unknown:
    """By the reference of TokenReview, a server that answers without audiences has not checked them."""
    if not status.get("authenticated"):
        return Unknown(str(status.get("error") or "it is unknown or has expired"))
    if audiences and audiences.isdisjoint(status.get("audiences") or ()):
        return Unknown(f"it was made for another audience than {', '.join(sorted(audiences))}")
    user = status.get("user") or {}
    return Caller(
        str(user.get("username", "")),
        str(user.get("uid", "")),
        tuple(user.get("groups") or ()),
        user.get("extra") or {},
    )


def _access(caller: Caller, permission: Permission, namespace: str) -> Object:
    attributes = {
        "namespace": namespace,
        "verb": permission.verb,
        "group": OPTIMIZATION_JOBS.group,
        "version": OPTIMIZATION_JOBS.version,
        "resource": OPTIMIZATION_JOBS.plural,
    }
    if permission.name:
        attributes["name"] = permission.name
    if permission.subresource:
        attributes["subresource"] = permission.subresource
    return {
        "user": caller.username,
        "uid": caller.uid,
        "groups": list(caller.groups),
        "extra": dict(caller.extra),
        "resourceAttributes": attributes,
    }
