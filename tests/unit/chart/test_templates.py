"""The chart is held to golden files, and to what a cluster and its own documents ask of it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import helm
from dspy_service_core.crd import generate

GOLDEN = Path(__file__).parent / "golden"
TEMPLATES = helm.CHART / "templates"


def test_what_is_installed_is_as_the_golden_file_has_it(case, text):
    """To accept a change: `python tests/unit/chart/write_golden.py`, and read the difference."""
    assert text == (GOLDEN / f"{case}.yaml").read_text()


def test_helm_finds_nothing_to_complain_of(case):
    done = helm.lint(Path(__file__).parent / "values" / f"{case}.yaml")
    assert done.returncode == 0, done.stdout


def pods(documents):
    for document in documents:
        if document["kind"] == "Deployment":
            yield document["spec"]["template"]["spec"]
        elif document["kind"] == "Pod":
            yield document["spec"]


def test_every_pod_meets_the_restricted_profile(documents):
    found = list(pods(documents))
    assert len(found) == 3
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        assert {kind for volume in pod["volumes"] for kind in volume} <= {
            *("name", "emptyDir", "configMap", "secret", "persistentVolumeClaim")
        }


def test_all_that_lives_in_a_namespace_names_it(documents):
    cluster_wide = {
        *("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    }
    for document in documents:
        assert ("namespace" in document["metadata"]) == (document["kind"] not in cluster_wide), document["metadata"]


def test_the_definition_is_the_project_s_own_and_outlives_the_release():
    definition = helm.find(
        helm.manifests(helm.template("--show-only", "templates/crd.yaml")),
        "CustomResourceDefinition",
        "optimizationjobs.dspy-service.io",
    )
    assert definition["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert definition == generate.definition()


def test_uninstalling_keeps_the_store(rendered):
    claim = helm.find(rendered("default"), "PersistentVolumeClaim", "dspy-service-store")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_chart_is_of_the_project_s_version():
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    version = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("rbac-*.yaml")), ids=lambda path: path.name)
def test_every_verb_of_our_own_accounts_says_what_it_is_for(file):
    verbs = re.findall(r"^ +- (create|get|list|watch|update|patch|delete)\b(.*)$", file.read_text(), re.M)
    assert verbs
    assert all(re.fullmatch(r" +# .{5,}", comment) for _, comment in verbs), verbs


def test_no_role_has_a_wildcard(documents):
    for document in documents:
        for rule in document.get("rules", []):
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]), document["metadata"]["name"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("auth.mode=basic", "auth.mode|/auth/mode"),
        ("store.url=ftp://x/y", "store.url|/store/url"),
        ("store.url=s3://user:word@bucket/x", "store.url|/store/url"),
        ("api.replica=2", "replica"),
        ("store.claim.accessMode=ReadWriteOncePod", "accessMode"),
        ("namespaces={team-a}", "a claim serves the release's own namespace alone"),
        ("auth.mode=token", "auth.tokenSecret.name"),
        ("registry.other=x", "registry.yaml"),
        ("networkPolicy.blockedCidrs={everything}", "blockedCidrs"),
    ],
)
def test_values_that_cannot_work_are_refused(given, words):
    with pytest.raises(helm.HelmRefused, match=words):
        helm.template("--set", given)


def trusted_hosts(*arguments):
    (api,) = (
        d
        for d in helm.manifests(helm.template(*arguments))
        if d["metadata"]["name"].endswith("-api") and d["kind"] == "Deployment"
    )
    (container,) = api["spec"]["template"]["spec"]["containers"]
    return [it["value"].split(",") for it in container["env"] if it["name"] == "DSPY_SERVICE_TRUSTED_HOSTS"]


def test_where_nobody_is_asked_for_a_token_the_chart_s_own_names_are_listed():
    given = ["--set", "auth.mode=none", "--set", "ingress.host=dspy.example.org", "--set", "auth.trustedHosts={other}"]
    service = ["dspy-service", "dspy-service.dspy", "dspy-service.dspy.svc", "dspy-service.dspy.svc.cluster.local"]
    assert trusted_hosts(*given[:2]) == [service]
    assert trusted_hosts(*given) == [[*service, "dspy.example.org", "other"]]
    assert trusted_hosts() == []


def test_a_trusted_host_is_one_word():
    with pytest.raises(helm.HelmRefused, match="trustedHosts"):
        helm.template("--set", r"auth.trustedHosts={a\,b}")
