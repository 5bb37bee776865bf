"""Tokens, reviews and RBAC, as the HTTP API relies on them to know its callers."""

from pathlib import Path
from typing import Any

import pytest

from accounts import make_account, token_of
from as_token import as_token
from dspy_service_core.kube.resources import (
    CONFIG_MAPS,
    OPTIMIZATION_JOBS,
    SERVICE_ACCOUNTS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
)
from kube_http import KubeHttp, ok, refused

pytestmark = pytest.mark.usefixtures("optimization_jobs")


def _token_review(http: KubeHttp, token: str, *audiences: str) -> dict[str, Any]:
    spec = {"token": token} | ({"audiences": list(audiences)} if audiences else {})
    body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": "TokenReview", "spec": spec}
    status: dict[str, Any] = ok(http.post(TOKEN_REVIEWS.path(), body))["status"]
    return status


def _may(http: KubeHttp, user: dict[str, Any], namespace: str, verb: str, name: str = "") -> bool:
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": OPTIMIZATION_JOBS.group,
        "resource": OPTIMIZATION_JOBS.plural,
        "name": name,
    }
    spec = {"user": user["username"], "groups": user["groups"], "resourceAttributes": attributes}
    body = {"apiVersion": SUBJECT_ACCESS_REVIEWS.api_version, "kind": "SubjectAccessReview", "spec": spec}
    return bool(ok(http.post(SUBJECT_ACCESS_REVIEWS.path(), body))["status"]["allowed"])


def test_a_token_tells_whose_it_is(http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "alice")
    uid = ok(http.get(SERVICE_ACCOUNTS.path(namespace, "alice")))["metadata"]["uid"]
    status = _token_review(http, token_of(http, namespace, "alice"))
    assert status["authenticated"] is True
    user = status["user"]
    assert (user["username"], user["uid"]) == (f"system:serviceaccount:{namespace}:alice", uid)
    expected = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
    assert set(user["groups"]) == expected


def test_what_is_no_token_is_nobodys(http: KubeHttp) -> None:
    status = _token_review(http, "wrong")
    assert not status.get("authenticated")
    assert "user" not in status or not status["user"]


def test_a_token_is_for_its_audience(http: KubeHttp, kubeconfig: Path, namespace: str) -> None:
    make_account(http, namespace, "alice")
    token = token_of(http, namespace, "alice", "dspy-service")
    status = _token_review(http, token, "dspy-service", "another")
    assert (status["authenticated"], status["audiences"]) == (True, ["dspy-service"])
    for audiences in ((), ("another",)):
        assert not _token_review(http, token, *audiences).get("authenticated")
    with as_token(kubeconfig, token) as client:
        refused(client.get(CONFIG_MAPS.path(namespace)), 401, "Unauthorized")


def test_roles_say_what_may_be_done(http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "reader", "get", "list")
    make_account(http, namespace, "one", "delete", names=("mine",))
    reader = _token_review(http, token_of(http, namespace, "reader"))["user"]
    assert [_may(http, reader, namespace, verb) for verb in ("get", "list", "create", "delete")] == [
        True,
        True,
        False,
        False,
    ]
    assert not _may(http, reader, "default", "list")
    one = _token_review(http, token_of(http, namespace, "one"))["user"]
    assert [_may(http, one, namespace, "delete", name) for name in ("mine", "other", "")] == [True, False, False]


def test_the_server_itself_obeys_roles(http: KubeHttp, kubeconfig: Path, namespace: str) -> None:
    make_account(http, namespace, "reader", "list")
    with as_token(kubeconfig, token_of(http, namespace, "reader")) as client:
        ok(client.get(OPTIMIZATION_JOBS.path(namespace)))
        for path in (OPTIMIZATION_JOBS.path(namespace, "x"), OPTIMIZATION_JOBS.path(), CONFIG_MAPS.path(namespace)):
            refused(client.get(path), 403, "Forbidden")
