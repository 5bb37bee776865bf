"""What somebody with a reporter's token can do: report on its own job, as its current attempt, and nothing else."""

import pytest

from dspy_service_core.kube.resources import CONFIG_MAPS, JOBS, OPTIMIZATION_JOBS, PODS, SECRETS, SERVICE_ACCOUNTS
from dspy_service_core.resource.status import OptimizationJobStatus
from guarded_jobs import resource
from kube_http import JSON_PATCH, ok, refused
from waiting import wait_for

REPORT = {"status": {"run": {"stage": "Running", "message": "half way", "progress": {"percent": "50"}}}}
FENCED = "this pod is not the recorded attempt of this job"

CHANGES = {
    "phase": "Succeeded",
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "Mine",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "message": "mine",
    "observedGeneration": 7,
    "attempt": {"number": 2},
    "attempts": [{"number": 1, "reason": "Mine", "message": "", "endedAt": "2026-01-01T00:00:00Z"}],
    "retriesUsed": 9,
    "activeSeconds": 1,
    "queue": {"position": 1},
    "startedAt": "2026-01-01T00:00:00Z",
    "completedAt": "2026-01-01T00:00:00Z",
}


def test_reports_on_its_own_job(site):
    job = site.job()
    reporter = job.started()
    status = ok(reporter.patch(job.status, REPORT))["status"]
    assert status["run"]["message"] == "half way"
    assert (status["phase"], status["message"]) == ("Running", "started")
    assert ok(reporter.get(job.path))["metadata"]["name"] == job.name


def test_not_on_another_job(site):
    job, other = site.job(), site.job()
    other.started()
    assert FENCED in refused(job.started().patch(other.status, REPORT), 422, "Invalid")["message"]


@pytest.mark.parametrize("names", [("tickets", "tickets-b"), ("mails-b", "mails")])
def test_not_on_one_whose_name_begins_with_the_other(site, names):
    mine, other = (site.job(name) for name in names)
    other.started()
    assert FENCED in refused(mine.started().patch(other.status, REPORT), 422, "Invalid")["message"]


def test_not_from_a_pod_of_an_earlier_attempt(site):
    job = site.job()
    earlier = job.started(1)
    ok(earlier.patch(job.status, REPORT))
    current = job.started(2)
    assert FENCED in refused(earlier.patch(job.status, REPORT), 422, "Invalid")["message"]
    ok(current.patch(job.status, REPORT))


def test_not_before_its_pod_is_recorded(site):
    job = site.job()
    early = site.as_account("runner", site.pod(f"{job.name}-1-early"))
    assert FENCED in refused(early.patch(job.status, REPORT), 422, "Invalid")["message"]


def test_not_with_a_token_of_no_pod(site):
    job = site.job()
    job.started()
    assert FENCED in refused(site.as_account("runner").patch(job.status, REPORT), 422, "Invalid")["message"]


def test_every_part_of_the_status_is_tried():
    fields = OptimizationJobStatus.model_fields.items()
    assert CHANGES.keys() == {field.alias or name for name, field in fields} - {"run"}


@pytest.mark.parametrize("part", CHANGES)
def test_not_a_part_of_the_status_that_is_the_operators(site, part):
    job = site.job()
    answer = job.started().patch(job.status, {"status": {part: CHANGES[part]}})
    assert "only the part 'run'" in refused(answer, 422, "Invalid")["message"]


@pytest.mark.parametrize("part", ["phase", "message", "attempt"])
def test_nor_takes_one_away(site, part):
    job = site.job()
    reporter = job.started()
    answer = reporter.patch(job.status, {"status": {part: None}})
    assert "only the part 'run'" in refused(answer, 422, "Invalid")["message"]
    removal = [{"op": "remove", "path": f"/status/{part}"}]
    refused(reporter.patch(job.status, removal, JSON_PATCH), 422, "Invalid")


def test_nor_its_own_record_as_the_attempt(site):
    """A stale pod that would make itself the current one, in the very patch that reports."""
    job = site.job()
    job.started(1)
    stale = site.pod(f"{job.name}-2-stale")
    attempt = {"number": 2, "podName": stale["metadata"]["name"], "podUID": stale["metadata"]["uid"]}
    answer = site.as_account("runner", stale).patch(job.status, {"status": {"attempt": attempt} | REPORT["status"]})
    assert FENCED in refused(answer, 422, "Invalid")["message"]


def test_no_spec_not_even_through_the_status(site):
    job = site.job()
    reporter = job.started()
    for change in ({"spec": {"stop": "Cancel"}}, {"metadata": {"labels": {"a": "b"}}}):
        refused(reporter.patch(job.path, change), 403, "Forbidden")
        ok(reporter.patch(job.status, change))
    found = ok(site.http.get(job.path))
    assert found["spec"].get("stop", "") == ""
    assert "labels" not in found["metadata"]
    refused(reporter.put(job.status, found), 403, "Forbidden")


def test_the_policy_refuses_a_spec_even_where_a_role_would_not(site):
    """Somebody gives the account a role too many."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "too-much", "namespace": site.namespace},
        "rules": [{"apiGroups": [OPTIMIZATION_JOBS.group], "resources": [OPTIMIZATION_JOBS.plural], "verbs": ["*"]}],
    }
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "too-much"},
        "subjects": [{"kind": "ServiceAccount", "name": "dspy-service-runner", "namespace": site.namespace}],
    }
    del binding["rules"]
    job = site.job()
    reporter = job.started()
    site.install(role)
    site.install(binding)
    try:
        wait_for(lambda: reporter.patch(job.path, {"spec": {"stop": "Cancel"}}).status_code == 422, timeout=30)
        refused(reporter.delete(job.path), 422, "Invalid")
        refused(reporter.post(OPTIMIZATION_JOBS.path(site.namespace), resource("mine")), 422, "Invalid")
    finally:
        site.remove(binding)
        site.remove(role)
    wait_for(lambda: reporter.delete(job.path).status_code == 403, timeout=30)


@pytest.mark.parametrize(
    "path",
    [
        *(lambda it: [it.path("NAMESPACE"), it.path()])(SECRETS),
        *(lambda it: [it.path("NAMESPACE"), it.path()])(OPTIMIZATION_JOBS),
        *(it.path("NAMESPACE") for it in (CONFIG_MAPS, PODS, JOBS, SERVICE_ACCOUNTS)),
        SECRETS.path("NAMESPACE", "dspy-service-model-keys"),
        SECRETS.path("kube-system", "any"),
        OPTIMIZATION_JOBS.path("default", "any"),
        "/api/v1/namespaces",
        "/api/v1/nodes",
    ],
)
def test_reads_nothing_else(site, path):
    reporter = site.job().started()
    refused(reporter.get(path.replace("NAMESPACE", site.namespace)), 403, "Forbidden")


def test_makes_and_removes_nothing(site):
    job = site.job()
    reporter = job.started()
    refused(reporter.delete(job.path), 403, "Forbidden")
    refused(reporter.post(OPTIMIZATION_JOBS.path(site.namespace), resource("mine")), 403, "Forbidden")
    refused(reporter.post(PODS.path(site.namespace), {"metadata": {"name": "mine"}}), 403, "Forbidden")
    refused(reporter.post(SECRETS.path(site.namespace), {"metadata": {"name": "mine"}}), 403, "Forbidden")
    account = SERVICE_ACCOUNTS.path(site.namespace, "dspy-service-operator")
    refused(reporter.post(f"{account}/token", {"spec": {}}), 403, "Forbidden")


def test_nothing_at_all_without_the_token(site):
    job = site.job()
    job.started()
    nobody = site.as_bearer("none")
    for path in (job.path, OPTIMIZATION_JOBS.path(site.namespace), SECRETS.path(site.namespace)):
        refused(nobody.get(path), 401, "Unauthorized")
