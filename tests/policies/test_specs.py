"""What is never stored: credentials in a spec, and jobs that look as if the HTTP API had made them."""

import uuid

import pytest

from dspy_service_core import names
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from guarded_jobs import POLICIES, resource
from kube_http import ok, refused
from waiting import wait_for

API_LABEL = {names.LABEL_SUBMITTED_BY: names.SUBMITTED_BY_API}


def create(site, body, account="", dry_run="All"):
    client = site.as_account(account) if account else site.http
    return client.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun=dry_run)


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "x"},
        {"apiKey": ["x"]},
        {"vertex_credentials": {"private": "x"}},
        {"password": None},
        {"extra_body": {"auth_token": "x"}},
        {"headers": {"x": "y"}},
        {"extra_headers": {"Authorization": "x"}},
        {"nested": {"default_headers": {}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["default", "reflection", "prompt", "task"])
def test_a_credential_in_a_spec_is_refused(site, role, extra):
    body = resource("mine")
    body["spec"]["models"][role] = {"name": "openai/some", "extra": extra}
    refused(create(site, body), 422, "Invalid")


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"max_tokens": 100, "maxTokens": 5, "top_p": 0.5, "tokenizer": "x", "stop": ["a"]},
        {"token": 5, "key": True},
        {"extra_body": {"guided": {"choice": ["a"]}, "seed": 7}, "list": [{"a": 1}]},
    ],
    ids=str,
)
def test_ordinary_settings_are_taken(site, extra):
    ok(create(site, resource("mine", extra=extra)))


def test_names_of_the_http_api_are_its_own(site):
    taken = resource(f"job-{uuid.uuid4()}")
    assert "are the HTTP API's own" in refused(create(site, taken), 422, "Invalid")["message"]
    ok(create(site, taken, "api"))
    ok(create(site, resource("job-1")))


def test_a_bare_uuid_is_no_name_for_anybody(site):
    for account in ("", "api"):
        assert "bare UUID" in refused(create(site, resource(str(uuid.uuid4())), account), 422, "Invalid")["message"]


def test_only_the_http_api_says_that_it_submitted_a_job(site):
    ours = resource("mine", labels=API_LABEL)
    assert "submitted-by" in refused(create(site, ours), 422, "Invalid")["message"]
    ok(create(site, ours, "api"))
    job = site.job()
    refused(site.http.patch(job.path, {"metadata": {"labels": API_LABEL}}), 422, "Invalid")


def test_the_operator_still_marks_the_http_api_s_jobs_as_finished(site):
    name = f"job-{uuid.uuid4()}"
    site.as_account("api").post(OPTIMIZATION_JOBS.path(site.namespace), resource(name, labels=API_LABEL))
    label = {"metadata": {"labels": {names.LABEL_FINISHED: "true"}}}
    ok(site.as_account("operator").patch(OPTIMIZATION_JOBS.path(site.namespace, name), label))


def test_another_namespace_is_none_of_this_release_s(site):
    ok(site.http.post(OPTIMIZATION_JOBS.path("default"), resource(f"job-{uuid.uuid4()}"), dryRun="All"))


@pytest.mark.parametrize("policy", ["runners", "specs"])
def test_the_api_server_s_own_type_check_finds_nothing(site, policy):
    path = POLICIES.path(name=f"{site.namespace}-dspy-service-{policy}")

    def checked():
        found = ok(site.http.get(path))
        return found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"] and found

    found = wait_for(checked, timeout=30)
    assert found["status"].get("typeChecking", {}) == {}
