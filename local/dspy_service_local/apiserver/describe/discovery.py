"""Discovery: which groups, versions and resources there are, for kubectl and every client that asks before it acts."""

from typing import Any

from dspy_service_local.apiserver.auth.reviews import REVIEWS
from dspy_service_local.apiserver.auth.token_requests import SUBRESOURCE as TOKEN
from dspy_service_local.apiserver.kinds.kinds import Kind, Kinds

Document = dict[str, Any]

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
VERSION: Document = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+dspy-service",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
"""The Kubernetes version whose behaviour this server follows."""


def api_versions() -> Document:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(kinds: Kinds) -> Document:
    found: dict[str, str] = {group: version for group, version in kinds.versions() if group}
    found |= {path.split("/")[2]: path.split("/")[3] for path in REVIEWS}
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in sorted(found.items())]}


def group(kinds: Kinds, name: str) -> Document | None:
    for found in groups(kinds)["groups"]:
        if found["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1"} | dict(found)
    return None


def _group(name: str, version: str) -> Document:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def resources(kinds: Kinds, group_name: str, version: str) -> Document | None:
    served = kinds.versions().get((group_name, version), [])
    listed = [entry for kind in served for entry in _entries(kind)] + _reviews(group_name, version)
    if not listed:
        return None
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _entries(kind: Kind) -> list[Document]:
    resource = kind.resource
    own: Document = {
        "name": resource.plural,
        "singularName": kind.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
    }
    own |= {"shortNames": list(kind.short_names)} if kind.short_names else {}
    own |= {"categories": list(kind.categories)} if kind.categories else {}
    return [own, *(_subresource(kind, name) for name in kind.subresources)]


def _subresource(kind: Kind, name: str) -> Document:
    if name == TOKEN:
        return {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": True,
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        }
    return {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.resource.namespaced,
        "kind": kind.resource.kind,
        "verbs": ["get"] if name == "log" else ["get", "patch", "update"],
    }


def _reviews(group_name: str, version: str) -> list[Document]:
    return [
        {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": False,
            "kind": resource.kind,
            "verbs": ["create"],
        }
        for path, (resource, _) in REVIEWS.items()
        if path.startswith(f"/apis/{group_name}/{version}/")
    ]
