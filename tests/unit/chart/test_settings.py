"""The chart speaks to the parts by their own settings: each variable is one, and takes the value that it is given."""

import json
from collections.abc import Mapping

import pytest

import helm
from dspy_service_api.settings import Settings
from dspy_service_core.registry import registry
from dspy_service_core.registry.registry import targets_of
from dspy_service_local.reference import PARTS, variable
from dspy_service_operator.pod.runner_job import build_job
from dspy_service_operator.settings import OperatorSettings
from operator_objects import make_job

SECRET = "from a Secret"
CA = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}


def environment(documents, part: str) -> dict[str, str]:
    deployment = helm.find(documents, "Deployment", f"dspy-service-{part}")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", SECRET) for entry in container["env"]}


def settings(model, given: Mapping[str, str], monkeypatch):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return model()


@pytest.mark.parametrize(("part", "title"), [("api", "HTTP API"), ("operator", "Operator")])
def test_every_variable_is_a_setting(documents, part, title):
    prefix, model = PARTS[title]
    known = {variable(prefix, name, field) for name, field in model.model_fields.items()}
    assert environment(documents, part).keys() - CA <= known


def test_the_api_takes_what_it_is_given(case, documents, monkeypatch):
    api = settings(Settings, environment(documents, "api"), monkeypatch)
    assert not api.on_loopback
    assert api.auth == ("token" if case == "shared-claim" else "kubernetes")
    assert api.namespace == ("team-a" if case == "object-store" else helm.NAMESPACE)


def runner_pod(documents, monkeypatch):
    operator = settings(OperatorSettings, environment(documents, "operator"), monkeypatch)
    job = make_job()
    targets = targets_of(job.spec.module.name, job.spec.optimizer.name, registry.default())
    template = build_job(job, 1, 3600, targets, operator)["spec"]["template"]
    return operator, template["metadata"]["labels"], template["spec"]


def test_jobs_run_as_the_account_that_has_a_role(documents, monkeypatch):
    operator, _, pod = runner_pod(documents, monkeypatch)
    for namespace in operator.namespaces:
        assert any(
            subject == {"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": namespace}
            for document in documents
            if document["kind"] == "RoleBinding" and document["metadata"]["namespace"] == namespace
            for subject in document["subjects"]
        )


def test_whatever_mounts_a_claim_of_one_node_keeps_together(rendered, monkeypatch):
    documents = rendered("default")
    _, labels, pod = runner_pod(documents, monkeypatch)
    placed = [(labels, pod["affinity"])]
    for part in ("api", "operator"):
        template = helm.find(documents, "Deployment", f"dspy-service-{part}")["spec"]["template"]
        placed.append((template["metadata"]["labels"], template["spec"]["affinity"]))
    for _, affinity in placed:
        (term,) = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        for companion, _ in placed:
            assert term["labelSelector"]["matchLabels"].items() <= companion.items()


@pytest.mark.parametrize(("case", "replicas"), [("default", 1), ("shared-claim", 2), ("object-store", 3)])
def test_one_api_on_a_claim_of_one_node_and_more_elsewhere(rendered, case, replicas, monkeypatch):
    documents = rendered(case)
    assert helm.find(documents, "Deployment", "dspy-service-api")["spec"]["replicas"] == replicas
    assert helm.find(documents, "Deployment", "dspy-service-operator")["spec"]["replicas"] == 2
    assert ("affinity" in runner_pod(documents, monkeypatch)[2]) == (case == "default")


def test_the_policy_and_the_operator_keep_the_same_secrets_from_jobs(case, documents, monkeypatch):
    operator = settings(OperatorSettings, environment(documents, "operator"), monkeypatch)
    policy = helm.find(documents, "ValidatingAdmissionPolicy", f"{helm.NAMESPACE}-dspy-service-specs")["spec"]
    (rule,) = (it["expression"] for it in policy["validations"] if "spec.models.*.keyFrom" in it["message"])
    assert set(json.loads(rule[rule.index("[", rule.index(" in ")) : rule.rindex("]") + 1])) == operator.service_secrets
    named = {"default": "dspy-service-model-keys", "object-store": "dspy-tls", "shared-claim": "dspy-token"}
    assert named[case] in operator.service_secrets
