"""From a URL to what it names: a kind, and there a namespace, an object, a subresource."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind, Kinds


@dataclass(frozen=True, slots=True)
class Target:
    kind: Kind
    namespace: str = ""
    """Empty: cluster-wide, or all namespaces."""
    name: str = ""
    subresource: str = ""
    watch: bool = False

    def require_namespace(self) -> None:
        if self.kind.resource.namespaced and not self.namespace:
            raise refusals.method_not_allowed()


def query_of(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}


def target_of(kinds: Kinds, path: str, query: Mapping[str, str]) -> Target | None:
    """None: not the path of an object or a collection."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = query.get("watch", "") in ("true", "1")
    if rest[0] == "watch":  # the old form of watch URLs, which some clients still use
        watch, rest = True, rest[1:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = unquote(rest[1]), rest[2:]
    kind = kinds.at(group, version, rest[0]) if rest else None
    if kind is None or len(rest) > 3 or (namespace and not kind.resource.namespaced):
        raise refusals.no_such_resource()
    name = unquote(rest[1]) if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in kind.subresources:
        raise refusals.no_such_resource()
    return Target(kind, namespace, name, subresource, watch)
