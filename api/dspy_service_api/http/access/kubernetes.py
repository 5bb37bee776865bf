"""Asks the cluster who calls and what they may do: its users, and RBAC on `optimizationjobs` of the served
namespace."""

import re
import shlex

from dspy_service_api.answers.error_codes import FORBIDDEN
from dspy_service_api.http.access.authenticator import Headers, Visitor, bearer, unknown
from dspy_service_api.http.access.permissions import Permission
from dspy_service_api.http.access.reviews import Caller, Reviews, Unknown
from dspy_service_api.http.problems import Problem
from dspy_service_core.errors import ClusterUnavailable
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names

_TOKEN = re.compile(rb"[\x21-\x7e]{1,16384}")
"""Anything else cannot be a token, so the cluster is not asked about it."""
_SERVICE_ACCOUNT = "system:serviceaccount:"
_RESOURCE = f"{OPTIMIZATION_JOBS.plural}.{OPTIMIZATION_JOBS.group}"


class KubernetesAuthenticator:
    def __init__(self, reviews: Reviews, namespace: str, audiences: tuple[str, ...]) -> None:
        self._reviews = reviews
        self._namespace = namespace
        self._audiences = audiences

    async def ask(self, permission: Permission | None, headers: Headers) -> Visitor | Problem:
        token = bearer(headers)
        if not token:
            return unknown(f"This service asks for a token of its cluster. {self._cure()}")
        if not _TOKEN.fullmatch(token):
            return unknown(f"What was sent is no token of the cluster. {self._cure()}")
        try:
            return await self._reviewed(token, permission)
        except kube.Forbidden as exc:
            raise ClusterUnavailable(
                f"The service may not ask its cluster who calls: {exc}. "
                "Its service account needs the ClusterRole system:auth-delegator."
            ) from exc

    async def _reviewed(self, token: bytes, permission: Permission | None) -> Visitor | Problem:
        caller = await self._reviews.caller(token)
        if isinstance(caller, Unknown):
            return unknown(f"The cluster does not accept the token: {caller.reason}. {self._cure()}")
        if permission is not None:
            verdict = await self._reviews.verdict(token, caller, permission)
            if not verdict.allowed:
                return self._forbidden(caller, permission, verdict.reason)
        return Visitor(caller.username)

    def _cure(self) -> str:
        audience = f" --audience={shlex.quote(self._audiences[0])}" if self._audiences else ""
        return (
            f"`kubectl create token <service account> -n {self._namespace}{audience}` makes one; "
            "send it as 'Authorization: Bearer <token>'."
        )

    def _forbidden(self, caller: Caller, permission: Permission, reason: str) -> Problem:
        named = f' "{permission.name}"' if permission.name else ""
        resource = _resource(permission)
        why = f" ({reason})" if reason else ""
        return Problem(
            FORBIDDEN,
            f"User '{caller.username}' may not {permission.verb} {resource}{named} in namespace "
            f"'{self._namespace}'{why}. Whoever may change roles there can allow it: "
            f"{_grant(caller.username, permission, self._namespace)}",
        )


def _resource(permission: Permission) -> str:
    return f"{_RESOURCE}/{permission.subresource}" if permission.subresource else _RESOURCE


def _grant(username: str, permission: Permission, namespace: str) -> str:
    """Two commands that create the missing role. It covers all jobs, since a role for one name cannot be given before
    that job exists."""
    role = f"{names.MANAGED_BY}-{permission.subresource or permission.verb}"
    resource = _resource(permission)
    if username.startswith(_SERVICE_ACCOUNT):
        subject = f"--serviceaccount={shlex.quote(username.removeprefix(_SERVICE_ACCOUNT))}"
    else:
        subject = f"--user={shlex.quote(username)}"
    return (
        f"kubectl -n {namespace} create role {role} --verb={permission.verb} --resource={resource} && "
        f"kubectl -n {namespace} create rolebinding {role} --role={role} {subject}"
    )
