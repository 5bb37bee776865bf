"""What NetworkPolicies mean: whether a connection would be let through, by the rules of networking.k8s.io/v1.

For clusters whose network plugin enforces nothing, as the one of tests and CI. Where the specification leaves a choice
(whether an ipBlock matches the address of a pod), the more permissive reading is taken.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A pod, or with a namespace of None an address outside the cluster."""

    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Of the pod's containers, by name."""


def lets_out(policies: Iterable[Object], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
    """Whether no policy of the source keeps it from the target's port."""
    return _allowed(policies, "Egress", source, target, port, protocol, target)


def lets_in(policies: Iterable[Object], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
    """Whether no policy of the target keeps the source away."""
    return _allowed(policies, "Ingress", target, source, port, protocol, target)


def _allowed(
    policies: Iterable[Object], way: str, subject: Endpoint, peer: Endpoint, port: int, protocol: str, server: Endpoint
) -> bool:
    own = [policy for policy in policies if way in _ways(policy["spec"]) and _is_subject(policy, subject)]
    rules = [rule for policy in own for rule in policy["spec"].get(way.lower()) or ()]
    side = "to" if way == "Egress" else "from"
    return not own or any(
        _is_peer(rule.get(side), subject, peer) and _is_port(rule.get("ports"), port, protocol, server)
        for rule in rules
    )


def _ways(spec: Object) -> list[str]:
    return list(spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _is_subject(policy: Object, subject: Endpoint) -> bool:
    same = policy["metadata"]["namespace"] == subject.namespace
    return same and selects(policy["spec"].get("podSelector") or {}, subject.labels)


def _is_peer(peers: Iterable[Object] | None, subject: Endpoint, peer: Endpoint) -> bool:
    """No list is everybody."""
    return not peers or any(_matches(one, subject, peer) for one in peers)


def _matches(one: Object, subject: Endpoint, peer: Endpoint) -> bool:
    if block := one.get("ipBlock"):
        return _within(block["cidr"], peer) and not any(_within(cidr, peer) for cidr in block.get("except") or ())
    if peer.namespace is None:
        return False
    if "namespaceSelector" in one:
        place = selects(one["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        place = peer.namespace == subject.namespace
    return place and selects(one.get("podSelector") or {}, peer.labels)


def _within(cidr: str, peer: Endpoint) -> bool:
    network, address = ip_network(cidr), ip_address(peer.address)
    return network.version == address.version and address in network


def _is_port(ports: Iterable[Object] | None, port: int, protocol: str, server: Endpoint) -> bool:
    """No list is every port; a name is the server's container port of that name."""
    return not ports or any(one.get("protocol", "TCP") == protocol and port in _numbers(one, server) for one in ports)


def _numbers(one: Object, server: Endpoint) -> range:
    given = one.get("port")
    if given is None:
        return range(1, 65536)
    first = server.ports.get(given, 0) if isinstance(given, str) else int(given)
    return range(first, int(one.get("endPort", first)) + 1)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
    return exact and all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case other:
            raise ValueError(other)
