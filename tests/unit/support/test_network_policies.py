"""The evaluation of NetworkPolicies that other tests build on, on policies whose meaning is plain."""

from typing import Any

import pytest

from network_policies import Endpoint, lets_in, lets_out

JOB = Endpoint("10.244.0.9", "team", {"app": "job"})
FRIEND = Endpoint("10.244.0.7", "team", {"app": "friend"}, {"http": 8000})
STRANGER = Endpoint("10.244.0.8", "other", {"app": "friend"})
OUTSIDE = Endpoint("203.0.113.5")


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "team"}, "spec": {"podSelector": {"matchLabels": {"app": "job"}}, **spec}}


def egress(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [policy(policyTypes=["Egress"], egress=list(rules))]


@pytest.mark.parametrize(
    ("policies", "target", "port", "allowed"),
    [
        ([], OUTSIDE, 443, True),
        ([policy(policyTypes=["Ingress"])], OUTSIDE, 443, True),
        (egress(), OUTSIDE, 443, False),
        (egress({}), OUTSIDE, 443, True),
        (egress({"ports": [{"port": 80}]}), OUTSIDE, 443, False),
        (egress({"ports": [{"port": 400, "endPort": 500}]}), OUTSIDE, 443, True),
        (egress({"ports": [{"port": 443, "protocol": "UDP"}]}), OUTSIDE, 443, False),
        (egress({"ports": [{"port": "http"}]}), FRIEND, 8000, True),
        (egress({"to": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}), FRIEND, 1, True),
        (egress({"to": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}), STRANGER, 1, False),
        (egress({"to": [{"namespaceSelector": {}}]}), STRANGER, 1, True),
        (egress({"to": [{"namespaceSelector": {}}]}), OUTSIDE, 1, False),
        (
            egress({"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns"}}}]}),
            STRANGER,
            53,
            False,
        ),
        (egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), OUTSIDE, 443, True),
        (egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}]}), OUTSIDE, 443, False),
        (egress({"to": [{"ipBlock": {"cidr": "::/0"}}]}), OUTSIDE, 443, False),
    ],
)
def test_what_a_policy_lets_out(policies: list[Any], target: Endpoint, port: int, allowed: bool) -> None:
    assert lets_out(policies, JOB, target, port) is allowed


def test_policies_add_up_and_select_by_namespace_and_label() -> None:
    nobody, friends = policy(policyTypes=["Ingress"]), policy(ingress=[{"from": [{"podSelector": {}}]}])
    assert not lets_in([nobody], FRIEND, JOB, 80)
    assert lets_in([nobody, friends], FRIEND, JOB, 80)
    assert not lets_in([nobody, friends], STRANGER, JOB, 80)
    assert lets_in([nobody], JOB, FRIEND, 80)


def test_expressions() -> None:
    labelled = {"matchExpressions": [{"key": "app", "operator": "Exists"}, {"key": "x", "operator": "DoesNotExist"}]}
    chosen = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "friend"]}]}
    assert lets_out(egress({"to": [{"podSelector": labelled}]}), JOB, FRIEND, 1)
    assert lets_out(egress({"to": [{"podSelector": chosen}]}), JOB, FRIEND, 1)
    assert not lets_out(egress({"to": [{"podSelector": chosen}]}), JOB, JOB, 1)
