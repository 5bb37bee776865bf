"""Who calls: the administrator (the kubeconfig's token), one pod, or a service account (tokens minted here)."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

MASTERS = "system:masters"
"""The group that may do everything."""
_AUTHENTICATED = "system:authenticated"
AUDIENCE = "https://kubernetes.default.svc"
"""Of tokens that were asked for without naming one: this server itself."""


@dataclass(frozen=True, slots=True)
class User:
    """As reviews and role bindings name them."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A runner pod and the OptimizationJob whose status it may report."""

    pod_uid: str
    namespace: str
    job: str

    @property
    def user(self) -> User:
        return User(f"system:pod:{self.namespace}:{self.pod_uid}", (_AUTHENTICATED,), self.pod_uid)


@dataclass(frozen=True, slots=True)
class Administrator:
    """May do everything."""

    user: User = User("administrator", (MASTERS, _AUTHENTICATED))


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """A service account, for what RBAC allows it."""

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    expires_at: datetime

    @property
    def user(self) -> User:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", _AUTHENTICATED)
        return User(f"system:serviceaccount:{self.namespace}:{self.name}", groups, self.uid)


ADMINISTRATOR = Administrator()
Identity = Administrator | PodIdentity | AccountIdentity


class TokenStore:
    """Minted tokens live in memory: no pod outlives the process that started it, an account's can be made anew."""

    def __init__(self, admin_token: str) -> None:
        self.admin_token = admin_token
        self._pods: dict[str, PodIdentity] = {}
        self._accounts: dict[str, AccountIdentity] = {}

    def mint(self, *, pod_uid: str, namespace: str, job: str) -> str:
        """A token with which the pod may read OptimizationJob `job` and report its `status.run`."""
        token = secrets.token_urlsafe(32)
        self._pods[token] = PodIdentity(pod_uid, namespace, job)
        return token

    def mint_for_account(self, account: AccountIdentity, now: datetime) -> str:
        self._accounts = {token: known for token, known in self._accounts.items() if known.expires_at > now}
        token = secrets.token_urlsafe(32)
        self._accounts[token] = account
        return token

    def revoke(self, pod_uid: str) -> None:
        self._pods = {token: pod for token, pod in self._pods.items() if pod.pod_uid != pod_uid}

    def identify(self, authorization: bytes, now: datetime) -> Identity | None:
        """Who calls this server: a token that was made for another audience is none of its own."""
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        identity = self.owner(token, now) if scheme.lower() == "bearer" else None
        if isinstance(identity, AccountIdentity) and AUDIENCE not in identity.audiences:
            return None
        return identity

    def owner(self, token: str, now: datetime) -> Identity | None:
        if hmac.compare_digest(token.encode(), self.admin_token.encode()):
            return ADMINISTRATOR
        account = self._accounts.get(token)
        if account is not None:
            return account if account.expires_at > now else None
        return self._pods.get(token)
