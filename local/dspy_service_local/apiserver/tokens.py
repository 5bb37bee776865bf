"""Who calls: the administrator (the kubeconfig's token) or one pod (a token that the node minted for it)."""

import hmac
import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A runner pod and the OptimizationJob whose status it may report."""

    pod_uid: str
    namespace: str
    job: str


@dataclass(frozen=True, slots=True)
class Administrator:
    """May do everything."""


ADMINISTRATOR = Administrator()
Identity = Administrator | PodIdentity


class TokenStore:
    """Pod tokens live in memory alone: no pod outlives the process that started it."""

    def __init__(self, admin_token: str) -> None:
        self.admin_token = admin_token
        self._pods: dict[str, PodIdentity] = {}

    def mint(self, *, pod_uid: str, namespace: str, job: str) -> str:
        """A token with which the pod may read OptimizationJob `job` and report its `status.run`."""
        token = secrets.token_urlsafe(32)
        self._pods[token] = PodIdentity(pod_uid, namespace, job)
        return token

    def revoke(self, pod_uid: str) -> None:
        self._pods = {token: pod for token, pod in self._pods.items() if pod.pod_uid != pod_uid}

    def identify(self, authorization: bytes) -> Identity | None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        if hmac.compare_digest(token.encode(), self.admin_token.encode()):
            return ADMINISTRATOR
        return self._pods.get(token)
