"""RBAC as Kubernetes evaluates it: bindings of the user's names to roles, whose rules are only ever added up.

Read anew for every question: there are few roles, and those who ask (the HTTP API) keep the answers for a while.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_core.kube import resources
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver.auth.tokens import MASTERS, User
from dspy_service_local.apiserver.refusals import qualified
from dspy_service_local.apiserver.storage.rows import Key
from dspy_service_local.apiserver.storage.selectors import Selection
from dspy_service_local.apiserver.storage.storage import Storage

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """`namespace` empty: cluster-wide, or in all namespaces."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


def allowed(storage: Storage, user: User, access: Access) -> bool:
    if MASTERS in user.groups:
        return True
    return any(_permits(rule, access) for rule in _rules(storage, user, access.namespace))


def _permits(rule: Rule, access: Access) -> bool:
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    named = rule.get("resourceNames") or ()
    return (
        _covers(rule.get("verbs"), access.verb)
        and _covers(rule.get("apiGroups"), access.group)
        and (_covers(rule.get("resources"), resource) or f"*/{access.subresource}" in (rule.get("resources") or ()))
        and (not named or access.name in named)
    )


def _covers(listed: Iterable[str] | None, wanted: str) -> bool:
    return any(entry in ("*", wanted) for entry in listed or ())


def _rules(storage: Storage, user: User, namespace: str) -> Iterator[Rule]:
    for binding in _stored(storage, resources.CLUSTER_ROLE_BINDINGS, None):
        if _binds(binding, user):
            yield from _role(storage, binding["roleRef"], "")
    if namespace:
        for binding in _stored(storage, resources.ROLE_BINDINGS, namespace):
            if _binds(binding, user):
                yield from _role(storage, binding["roleRef"], namespace)


def _binds(binding: dict[str, Any], user: User) -> bool:
    return any(_is(subject, user) for subject in binding.get("subjects") or ())


def _is(subject: dict[str, Any], user: User) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        name = f"system:serviceaccount:{subject.get('namespace', '')}:{name}"
    return bool(name == user.name)


def _role(storage: Storage, reference: dict[str, Any], namespace: str) -> list[Rule]:
    resource = resources.ROLES if reference.get("kind") == resources.ROLES.kind else resources.CLUSTER_ROLES
    place = namespace if resource is resources.ROLES else ""
    row = storage.get(Key(qualified(resource), place, str(reference.get("name", ""))))
    return list(orjson.loads(row.body).get("rules") or ()) if row else []


def _stored(storage: Storage, resource: Resource, namespace: str | None) -> Iterator[dict[str, Any]]:
    for row in storage.reader().page(qualified(resource), Selection(namespace=namespace), ("", ""), -1):
        yield orjson.loads(row.body)
