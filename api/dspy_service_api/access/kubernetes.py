"""The door that asks the cluster: Kubernetes' own users, and its RBAC on `optimizationjobs` of the served namespace."""

import re
import shlex

from dspy_service_api.access.demand import Demand
from dspy_service_api.access.door import Headers, Visitor, bearer, unknown
from dspy_service_api.access.reviews import Caller, Reviews, Unknown
from dspy_service_api.error_codes import FORBIDDEN
from dspy_service_api.problems import Problem
from dspy_service_core import names
from dspy_service_core.errors import ClusterUnavailable
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS

_TOKEN = re.compile(rb"[\x21-\x7e]{1,16384}")
"""What no token can be is not worth a question."""
_SERVICE_ACCOUNT = "system:serviceaccount:"
_RESOURCE = f"{OPTIMIZATION_JOBS.plural}.{OPTIMIZATION_JOBS.group}"


class KubernetesDoor:
    def __init__(self, reviews: Reviews, namespace: str, audiences: tuple[str, ...]) -> None:
        self._reviews = reviews
        self._namespace = namespace
        self._audiences = audiences

    async def ask(self, demand: Demand | None, headers: Headers) -> Visitor | Problem:
        token = bearer(headers)
        if not token:
            return unknown(f"This service asks for a token of its cluster. {self._cure()}")
        if not _TOKEN.fullmatch(token):
            return unknown(f"What was sent is no token of the cluster. {self._cure()}")
        try:
            return await self._reviewed(token, demand)
        except kube.Forbidden as exc:
            raise ClusterUnavailable(
                f"The service may not ask its cluster who calls: {exc}. "
                "Its service account needs the ClusterRole system:auth-delegator."
            ) from exc

    async def _reviewed(self, token: bytes, demand: Demand | None) -> Visitor | Problem:
        caller = await self._reviews.caller(token)
        if isinstance(caller, Unknown):
            return unknown(f"The cluster does not accept the token: {caller.reason}. {self._cure()}")
        if demand is not None:
            verdict = await self._reviews.verdict(token, caller, demand)
            if not verdict.allowed:
                return self._forbidden(caller, demand, verdict.reason)
        return Visitor(caller.username)

    def _cure(self) -> str:
        audience = f" --audience={shlex.quote(self._audiences[0])}" if self._audiences else ""
        return (
            f"`kubectl create token <service account> -n {self._namespace}{audience}` makes one; "
            "send it as 'Authorization: Bearer <token>'."
        )

    def _forbidden(self, caller: Caller, demand: Demand, reason: str) -> Problem:
        named = f' "{demand.name}"' if demand.name else ""
        why = f" ({reason})" if reason else ""
        return Problem(
            FORBIDDEN,
            f"User '{caller.username}' may not {demand.verb} {_RESOURCE}{named} in namespace "
            f"'{self._namespace}'{why}. Whoever may change roles there can allow it: "
            f"{_grant(caller.username, demand, self._namespace)}",
        )


def _grant(username: str, demand: Demand, namespace: str) -> str:
    """Two commands; the role is for all jobs, as a job's name is of no use before there is the job."""
    role = f"{names.MANAGED_BY}-{demand.verb}"
    if username.startswith(_SERVICE_ACCOUNT):
        subject = f"--serviceaccount={shlex.quote(username.removeprefix(_SERVICE_ACCOUNT))}"
    else:
        subject = f"--user={shlex.quote(username)}"
    return (
        f"kubectl -n {namespace} create role {role} --verb={demand.verb} --resource={_RESOURCE} && "
        f"kubectl -n {namespace} create rolebinding {role} --role={role} {subject}"
    )
