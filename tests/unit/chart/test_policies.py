"""What the policies mean, read from what is rendered; `tests/policies` tries the admission ones on an API server."""

import re
from ipaddress import ip_address, ip_network

import pytest

import helm
from dspy_service_core.checks.models.credentials import is_credential_name, words
from dspy_service_core.nesting import SPEC_DEPTH
from dspy_service_core.resource import names, sources


def jobs_policy(documents, namespace=helm.NAMESPACE):
    policies = (it for it in documents if it["kind"] == "NetworkPolicy")
    (found,) = (
        it["spec"]
        for it in policies
        if it["metadata"]["name"] == "dspy-service-jobs" and it["metadata"]["namespace"] == namespace
    )
    return found


def reaches(policy, address: str, port: int) -> bool:
    """By address alone: a peer that is named by labels is no address."""
    wanted = ip_address(address)
    return any(
        _within(peer["ipBlock"], wanted)
        for rule in policy["egress"]
        if not rule.get("ports") or port in (entry["port"] for entry in rule["ports"])
        for peer in rule["to"]
        if "ipBlock" in peer
    )


def _within(block, address) -> bool:
    networks = [ip_network(block["cidr"]), *map(ip_network, block.get("except", []))]
    inside = [address.version == network.version and address in network for network in networks]
    return inside[0] and not any(inside[1:])


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("93.184.216.34", 443, True),
        ("2606:2800:220:1::1", 443, True),
        ("169.254.169.254", 80, False),
        ("168.63.129.16", 80, False),
        ("fd00:ec2::254", 80, False),
        ("10.244.0.17", 8000, False),
        ("10.96.0.1", 443, False),
        ("192.168.1.1", 443, False),
        ("127.0.0.1", 8000, False),
    ],
)
def test_jobs_reach_the_internet_and_neither_metadata_nor_each_other(rendered, address, port, expected):
    assert reaches(jobs_policy(rendered("default")), address, port) is expected


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [("10.1.2.3", 6443, True), ("10.1.2.3", 10250, False), ("10.1.2.4", 6443, False), ("93.184.216.34", 443, False)],
)
def test_without_the_internet_they_reach_the_api_server_alone(rendered, address, port, expected):
    assert reaches(jobs_policy(rendered("shared-claim")), address, port) is expected


def test_every_peer_that_is_no_address_is_dns_or_was_asked_for(rendered):
    named = [peer for rule in jobs_policy(rendered("shared-claim"))["egress"] for peer in rule["to"]]
    places = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in named
        if "ipBlock" not in peer
    ]
    assert places == ["kube-system", "models"]


def test_nobody_reaches_a_job_in_any_of_its_namespaces(rendered):
    for namespace in ("team-a", "team-b"):
        policy = jobs_policy(rendered("object-store"), namespace)
        assert policy["ingress"] == []
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["podSelector"]["matchLabels"].items() <= names.child_labels("some", 1).items()
        assert [it["key"] for it in policy["podSelector"]["matchExpressions"]] == [names.LABEL_JOB]


def variable(documents, policy: str, name: str) -> str:
    spec = helm.find(documents, "ValidatingAdmissionPolicy", f"{helm.NAMESPACE}-dspy-service-{policy}")["spec"]
    (found,) = (it["expression"] for it in spec["variables"] if it["name"] == name)
    return found


NAMES = (
    *("api_key", "apiKey", "apikey", "API_KEY", "api-key", "x-api-key", "key", "Key", "keyName", "azure_ad_token"),
    *("aws_secret_access_key", "clientSecret", "password", "passwordHash", "vertex_credentials", "Authorization"),
    *("temperature", "max_tokens", "maxTokens", "tokens", "monkey", "keyboard", "top_p", "organization", "seed"),
    *("tokenizer", "secretary", "hotkeys", "api_base", "timeout", "stop", "authorizations", "n", "user"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_s_name_is_one_to_the_policy_as_to_the_service(rendered, name):
    pattern = variable(rendered("default"), "specs", "credential").strip("'")
    assert bool(re.search(pattern, name)) is is_credential_name(name)


@pytest.mark.parametrize("name", ["headers", "extra_headers", "defaultHeaders", "Headers", "header", "headersize"])
def test_headers_are_headers_to_the_policy_as_to_the_service(rendered, name):
    pattern = variable(rendered("default"), "specs", "headers").strip("'")
    assert bool(re.search(pattern, name)) is ("headers" in words(name))


def test_the_depth_of_specs_is_core_s(documents):
    policy = next(
        it for it in documents if it["kind"] == "ValidatingAdmissionPolicy" and it["metadata"]["name"].endswith("specs")
    )
    (rule,) = (it for it in policy["spec"]["validations"] if "nested too deeply" in it["message"])
    assert f"at most {SPEC_DEPTH - 1} levels each" in rule["message"]
    assert f"type(v{SPEC_DEPTH - 1}) != map" in rule["expression"]


def refusal(documents, words: str) -> str:
    spec = helm.find(documents, "ValidatingAdmissionPolicy", f"{helm.NAMESPACE}-dspy-service-specs")["spec"]
    (found,) = (it["expression"] for it in spec["validations"] if words in it["message"])
    return found


UUID = "0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa"


@pytest.mark.parametrize(
    "secret", [f"job-{UUID}-keys", f"job-{UUID}-keys-2", f"a-job-{UUID}-keys", f"job-{UUID}", "job-1-keys", "openai"]
)
def test_a_job_s_secret_is_one_to_the_policy_as_to_the_service(rendered, secret):
    (pattern,) = re.findall(r"matches\('([^']*)'\)", refusal(rendered("default"), "spec.models.*.keyFrom"))
    assert bool(re.search(pattern, secret)) is names.is_credentials_secret(secret)
    own = names.credentials_secret(names.api_job(UUID))
    assert names.is_credentials_secret(own)
    assert own.endswith(re.findall(r"metadata\.name \+ '([^']*)'", refusal(rendered("default"), "another job's"))[0])


def test_the_policy_knows_every_source_that_may_lie_in_the_store(rendered):
    named = re.findall(r"object\.spec\.(\w+)\.payload", refusal(rendered("default"), "payload is the HTTP API's alone"))
    assert set(named) == {*sources.NAMES, "dataset"}
    assert "object.spec.program.files.exists(file, has(file.payload))" in refusal(
        rendered("default"), "payload is the HTTP API's alone"
    )
