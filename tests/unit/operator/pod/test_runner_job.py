"""The pod is held to a golden file: a change of it is a change of what runs with people's keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.registry import registry
from dspy_service_core.registry.registry import targets_of
from dspy_service_core.resource import sources
from dspy_service_operator.pod.runner_job import build_job
from dspy_service_operator.settings import OperatorSettings
from operator_objects import make_job

GOLDEN = Path(__file__).parents[1] / "golden"
UUID = "0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa"

KUBECTL_MADE = {
    "name": "tickets",
    "uid": "5f0e2f0e-4444-4b0c-8f53-2f7ab3d1c9aa",
    "signature": {"configMapKeyRef": {"name": "tickets", "key": "signature.py"}},
    "metric": {"configMapKeyRef": {"name": "tickets", "key": "metric.py"}},
    "dataset": {"configMapKeyRef": {"name": "tickets", "key": "rows.jsonl"}},
    "models": {
        "default": {"name": "openai/gpt-4o-mini", "keyFrom": {"name": "openai", "key": "api-key"}},
        "reflection": {"name": "anthropic/claude-sonnet-4-5"},
    },
    "run": {
        "image": "acme/runner:1",
        "queue": "team-a",
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "4Gi"}},
    },
}
API_MADE = {
    "name": f"job-{UUID}",
    "api_made": True,
    "dataset": {"payload": {"digest": f"sha256:{'0' * 64}", "rows": 2000, "bytes": 500000}},
    "models": {
        "default": {
            "name": "openai/humble",
            "baseUrl": "http://10.0.0.1:8000/v1",
            "credentialsFrom": {"name": f"job-{UUID}-keys", "key": "default"},
        }
    },
}
ON_S3 = {
    "store_url": "s3://bucket/dspy/",
    "store_secret": "s3",
    "runner_node_selector": {"pool": "batch"},
    "runner_tolerations": [{"key": "batch", "operator": "Exists"}],
    "runner_priority_class": "low",
    "runner_labels": {"cost-centre": "42", "dspy-service.io/job": "no label of ours gives way"},
    "runner_affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
    "ca_config_map": "corporate-ca",
    "runner_image_pull_secrets": "registry,other",
    "uri_prefixes": "s3://datasets/,https://data.example.org/",
    "concurrency": 1000,
}


def built(job: dict[str, Any], **settings: Any) -> dict[str, Any]:
    resource = make_job(**job)
    targets = targets_of(resource.spec.module.name, resource.spec.optimizer.name, registry.default())
    return build_job(resource, 2, 3600, targets, OperatorSettings(**settings))


@pytest.mark.parametrize(
    ("name", "job", "settings"),
    [("kubectl-made", KUBECTL_MADE, {}), ("api-made-on-s3", API_MADE, ON_S3)],
)
def test_the_job_is_as_the_golden_file_has_it(name, job, settings):
    """To accept a change, write `json.dumps(built(...), indent=2)` into the file and read the difference."""
    assert built(job, **settings) == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("job", [KUBECTL_MADE, API_MADE])
def test_the_pod_meets_the_restricted_profile(job):
    pod = built(job)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
        *("emptyDir", "projected", "persistentVolumeClaim")
    }


@pytest.mark.parametrize("job", [KUBECTL_MADE, API_MADE])
def test_the_optimizer_holds_neither_the_token_nor_the_store(job):
    (optimizer,) = built(job)["spec"]["template"]["spec"]["containers"]
    assert {mount["name"]: mount.get("readOnly", False) for mount in optimizer["volumeMounts"]} == {
        "in": True,
        "out": False,
        "tmp": False,
    }
    assert "envFrom" not in optimizer


def test_the_reporter_is_never_a_jobs_own_image():
    pod = built(KUBECTL_MADE)["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "acme/runner:1"
    assert pod["initContainers"][0]["image"] == OperatorSettings().runner_image


@pytest.mark.parametrize("job", [KUBECTL_MADE, API_MADE])
@pytest.mark.parametrize("settings", [{}, ON_S3])
def test_every_path_that_a_container_is_told_begins_with_a_mount(job, settings):
    pod = built(job, **settings)["spec"]["template"]["spec"]
    references = any("configMapKeyRef" in job.get(part, {}) for part in (*sources.NAMES, "dataset"))
    for container in (*pod["initContainers"], *pod["containers"]):
        mounts = tuple(mount["mountPath"] for mount in container["volumeMounts"])
        words = [*container["args"], *(entry.get("value", "") for entry in container["env"])]
        for word in words:
            path = word.removeprefix("file://")
            if path.startswith("/") and not (path == "/job/refs" and not references):
                assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), word


def test_of_a_volume_the_reporter_sees_the_jobs_own_folders_alone():
    reporter = built(KUBECTL_MADE)["spec"]["template"]["spec"]["initContainers"][0]
    paths = {mount["subPath"]: mount["mountPath"] for mount in reporter["volumeMounts"] if "subPath" in mount}
    uid = KUBECTL_MADE["uid"]
    assert paths == {
        f"default/jobs/{uid}": f"/store/default/jobs/{uid}",
        f"default/artifacts/{uid}": f"/store/default/artifacts/{uid}",
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}),
        ({"limits": {"memory": "256Mi"}}, {"requests": {"cpu": "250m"}, "limits": {"memory": "256Mi"}}),
        (
            {"requests": {"memory": "8Gi"}},
            {"requests": {"cpu": "250m", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
        ),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "3Gi", "cpu": "2"}},
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "3Gi", "cpu": "2"}},
        ),
    ],
)
def test_a_default_never_contradicts_what_a_job_asks_for(asked, expected):
    job = built({"run": {"resources": asked}})
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"] == expected
