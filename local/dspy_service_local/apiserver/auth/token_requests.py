"""The `token` subresource of service accounts, behind `kubectl create token`."""

from datetime import timedelta
from typing import Any

import orjson

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.auth.tokens import AUDIENCE, AccountIdentity, TokenStore
from dspy_service_local.apiserver.objects import objects
from dspy_service_local.apiserver.objects.operations import Operations
from dspy_service_local.apiserver.routes import Target

SUBRESOURCE = "token"
_DEFAULT_SECONDS = 3600
_SHORTEST_SECONDS = 600


def requested_token(operations: Operations, tokens: TokenStore, target: Target, body: Any) -> dict[str, Any]:
    account = orjson.loads(operations.read(target.kind, target.namespace, target.name).body)
    spec = (body.get("spec") if isinstance(body, dict) else None) or {}
    seconds = spec.get("expirationSeconds") or _DEFAULT_SECONDS
    if not isinstance(seconds, int) or seconds < _SHORTEST_SECONDS:
        raise refusals.bad_request(
            "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes"
        )
    audiences = tuple(spec.get("audiences") or (AUDIENCE,))
    now = operations.clock()
    identity = AccountIdentity(
        target.namespace, target.name, account["metadata"]["uid"], audiences, now + timedelta(seconds=seconds)
    )
    token = tokens.mint_for_account(identity, now)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {"audiences": list(audiences), "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": objects.timestamp(identity.expires_at)},
    }
