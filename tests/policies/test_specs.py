"""What is never stored: credentials in a spec, and jobs that look as if the HTTP API had made them."""

import uuid

import orjson
import pytest

from deep_json import DEPTHS, nested
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names, sources
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


UUID = str(uuid.uuid4())
ROLES = pytest.mark.parametrize("role", names.MODEL_ROLES)


def naming(role, field, secret, name="mine"):
    body = resource(name)
    body["spec"]["models"][role] = {"name": "openai/some", field: {"name": secret, "key": "key"}}
    return body


@ROLES
@pytest.mark.parametrize("secret", ["mine-keys", "openai", f"job-{UUID}-keys"])
def test_withheld_credentials_are_the_http_api_s_alone(site, role, secret):
    body = naming(role, "credentialsFrom", secret)
    for account in ("", "operator"):
        client = site.as_account(account) if account else site.http
        answer = client.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun="All")
        assert answer.status_code in (403, 422), answer.text
    assert "credentialsFrom is the HTTP API's alone" in refused(create(site, body), 422, "Invalid")["message"]


@ROLES
def test_and_name_the_secret_of_their_own_job(site, role):
    job, other = f"job-{UUID}", f"job-{uuid.uuid4()}"
    ok(create(site, naming(role, "credentialsFrom", f"{job}-keys", job), "api"))
    answer = create(site, naming(role, "credentialsFrom", f"{other}-keys", job), "api")
    assert "another job's Secret" in refused(answer, 422, "Invalid")["message"]


@ROLES
@pytest.mark.parametrize("account", ["", "api"])
@pytest.mark.parametrize("secret", [f"job-{UUID}-keys", "dspy-service-model-keys"])
def test_a_key_is_never_named_in_a_secret_of_a_job_or_of_the_service(site, role, account, secret):
    answer = create(site, naming(role, "keyFrom", secret), account)
    assert "keyFrom names a Secret of" in refused(answer, 422, "Invalid")["message"]


@ROLES
@pytest.mark.parametrize("secret", ["openai", "job-1-keys", "dspy-service-model-keys-of-mine"])
def test_a_key_of_ones_own_is_taken(site, role, secret):
    ok(create(site, naming(role, "keyFrom", secret)))


def with_secret(secret, name="mine", variable="SEARCH_TOKEN"):
    body = resource(name)
    body["spec"]["secrets"] = {"OTHER": {"name": "tools", "key": "key"}, variable: {"name": secret, "key": "key"}}
    return body


@pytest.mark.parametrize("account", ["", "api"])
@pytest.mark.parametrize("secret", [f"job-{UUID}-keys", "dspy-service-model-keys"])
def test_a_secret_of_the_code_is_never_one_of_a_job_or_of_the_service(site, account, secret):
    answer = create(site, with_secret(secret), account)
    assert "spec.secrets.* names a Secret of" in refused(answer, 422, "Invalid")["message"]


def test_the_http_api_s_job_alone_has_them_in_its_own_secret(site):
    job, other = f"job-{UUID}", f"job-{uuid.uuid4()}"
    ok(create(site, with_secret(f"{job}-keys", job), "api"))
    answer = create(site, with_secret(f"{other}-keys", job), "api")
    assert "spec.secrets.* names a Secret of" in refused(answer, 422, "Invalid")["message"]


@pytest.mark.parametrize("secret", ["openai", "job-1-keys", "mine-keys"])
def test_a_secret_of_ones_own_is_taken(site, secret):
    ok(create(site, with_secret(secret)))


@pytest.mark.parametrize("variable", ["PATH", "LD_PRELOAD", "PYTHONPATH", "DSPY_SERVICE_KEY_DEFAULT", "token", "A-B"])
def test_variables_of_the_system_are_no_names_of_secrets(site, variable):
    message = refused(create(site, with_secret("tools", variable=variable)), 422, "Invalid")["message"]
    assert "names of secrets are [A-Z_][A-Z0-9_]{0,63}" in message


def test_as_many_secrets_as_may_be_are_taken(site):
    body = resource("mine")
    held = {f"{'X' * 61}{n:03}": {"name": "s" * 200, "key": "k" * 200} for n in range(32)}
    body["spec"]["secrets"] = held
    ok(site.http.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun="All"))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"name": "evaluate"}, "split": {"train": "1", "val": "0", "test": "0"}},
        {"optimizer": {"name": "evaluate"}},
        {"split": {"column": "part"}},
        {"split": {"column": "part", "train": "1", "val": "0", "test": "0"}},
        {"adapter": "xml"},
        {"initial": {"configMapKeyRef": {"name": "begun", "key": "program.json"}}},
    ],
)
def test_fields_for_every_program_are_taken(site, changes):
    body = resource("mine")
    body["spec"] |= changes
    ok(create(site, body))


DIGEST = f"sha256:{'0' * 64}"


def with_program(body, program):
    for replaced in ("module", "signature", "columns"):
        del body["spec"][replaced]
    body["spec"]["program"] = program


@pytest.mark.parametrize("part", [*sources.NAMES, "dataset", "files"])
def test_documents_in_the_store_are_the_http_api_s_alone(site, part):
    body = resource("mine")
    payload = {"payload": {"digest": DIGEST} | ({"rows": 9, "bytes": 99} if part == "dataset" else {})}
    if part == "files":
        with_program(body, {"code": "x", "files": [{"path": "a.py", "code": "x"}, {"path": "b.py", **payload}]})
    elif part == "program":
        with_program(body, payload)
    else:
        body["spec"][part] = payload
    assert "payload is the HTTP API's alone" in refused(create(site, body), 422, "Invalid")["message"]
    ok(create(site, body, "api"))


@pytest.mark.parametrize("kind", ["labels", "annotations"])
@pytest.mark.parametrize("mark", ["finished", "submitted-at", "submitter", "request-digest", "job", "not-yet-known"])
def test_marks_of_the_service_are_its_own(site, kind, mark):
    ours = {f"{names.GROUP}/{mark}": "true"}
    refusal = refused(create(site, resource("mine", **{kind: ours})), 422, "Invalid")
    assert "are the service's own" in refusal["message"]
    ok(create(site, resource("mine", **{kind: ours}), "api"))
    ok(create(site, resource("mine", **{kind: {f"{names.GROUP}.example.org/{mark}": "true"}})))
    job = site.job()
    refused(site.http.patch(job.path, {"metadata": {kind: ours}}), 422, "Invalid")
    ok(site.as_account("operator").patch(job.path, {"metadata": {"labels": {names.LABEL_FINISHED: "true"}}}))
    ok(site.http.patch(job.path, {"metadata": {"labels": {"team": "a"}}, "spec": {"stop": "Cancel"}}))
    refused(site.http.patch(job.path, {"metadata": {"labels": {names.LABEL_FINISHED: "other"}}}), 422, "Invalid")


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


def deep(depth, place):
    """A resource whose `place` holds that many levels of lists and objects."""
    body = resource("mine")
    body["spec"]["models"]["task"] = {"name": "openai/some"}
    if place.startswith("program."):
        with_program(body, {"code": "x"})
    parts = place.split(".")
    target = body["spec"]
    for part in parts[:-1]:
        target = target.setdefault(part, {})
    target[parts[-1]] = "@"
    return orjson.dumps(body).replace(b'"@"', nested(depth))


DEEP_PLACES = [
    "module.kwargs.x",
    "program.kwargs.x",
    "optimizer.kwargs.x",
    "optimizer.compileKwargs.x",
    "models.default.extra.x",
    "models.task.extra.x",
]


def test_as_many_rows_as_fit_are_taken(site):
    """CEL counts what it costs to look into each, which would refuse many: their depth is left to the readers."""
    body = resource("mine")
    row = {"text": 1, "label": 2} | {f"c{n}": n for n in range(60)}
    body["spec"]["dataset"] = {"rows": [row] * 2_000}
    ok(site.http.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun="All"))


def test_as_many_files_as_may_be_are_taken(site):
    files = [{"path": f"{'ä' * 100}/{n}.py", "code": "x" * 10_000} for n in range(64)]
    body = resource("mine")
    with_program(body, {"code": "x" * 16_000, "kwargs": {f"k{n}": {"a": [n]} for n in range(60)}, "files": files})
    ok(site.http.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun="All"))


@pytest.mark.parametrize("depth", [64, *DEPTHS])
@pytest.mark.parametrize("place", DEEP_PLACES)
def test_what_is_nested_too_deeply_is_never_stored(site, place, depth):
    body = deep(depth, place)
    answer = site.http.post(OPTIMIZATION_JOBS.path(site.namespace), body, dryRun="All")
    assert "nested too deeply" in refused(answer, 422, "Invalid")["message"]


@pytest.mark.parametrize("depth", [2, 20, 58])
@pytest.mark.parametrize("place", DEEP_PLACES)
def test_what_the_http_api_takes_is_not_too_deep(site, place, depth):
    ok(site.http.post(OPTIMIZATION_JOBS.path(site.namespace), deep(depth, place), dryRun="All"))
