import pytest

from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.wire import KeyRef
from dspy_service_operator.pod.model_keys import key_environment, secret_references, service_key_name
from dspy_service_operator.settings import OperatorSettings
from optimizer_job import make_spec

LOOPBACK = OperatorSettings(key_hosts="127.0.0.1,localhost,::1,*.models.example.org")


def spec_of(models: object, further: object | None = None) -> OptimizationJobSpec:
    return OptimizationJobSpec.without_content(make_spec(models=models, modelConfigs=further or {}))


def environment(settings: OperatorSettings = LOOPBACK, **default: object) -> dict[str, tuple[str, str, bool]]:
    found = {}
    for entry in key_environment(spec_of({"default": {"name": "openai/gpt-4o-mini", **default}}), settings):
        ref = entry["valueFrom"]["secretKeyRef"]
        found[entry["name"]] = (ref["name"], ref["key"], ref.get("optional", False))
    return found


SERVICE_KEY = {"DSPY_SERVICE_KEY_DEFAULT": ("dspy-service-model-keys", "OPENAI_API_KEY", True)}


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "http://127.0.0.1:8901/v1",
        "http://LOCALHOST/v1",
        "http://[::1]:80/v1",
        "https://gpu.models.example.org/v1",
    ],
)
def test_the_services_key_goes_to_the_provider_and_to_listed_hosts(base_url):
    assert environment(baseUrl=base_url) == SERVICE_KEY


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example.com/v1",
        "http://127.0.0.1.evil.example.com/v1",
        "http://127.0.0.1@evil.example.com/v1",
        "http://127.0.0.1\\@evil.example.com/v1",
        "http://evil.example.com/#127.0.0.1",
        "https://models.example.org.evil.com/",
        "https://notmodels.example.org.evil.com/",
        "ftp://127.0.0.1/",
        "//127.0.0.1/v1",
        "http://127.0.0.1 .evil.example.com",
    ],
)
def test_nobody_else_gets_it(base_url):
    assert environment(baseUrl=base_url) == {}


@pytest.mark.parametrize("name", ["api_base", "base_url"])
def test_an_endpoint_in_extra_gets_none_either(name):
    assert environment(extra={name: "https://evil.example.com"}) == {}


def test_a_models_own_secret_comes_first_whatever_its_endpoint():
    ref = {"name": "openai", "key": "api-key"}
    assert environment(keyFrom=ref, baseUrl="https://elsewhere.example.com") == {
        "DSPY_SERVICE_KEY_DEFAULT": ("openai", "api-key", False)
    }


def test_withheld_credentials_come_beside_it():
    found = environment(credentialsFrom={"name": "job-keys", "key": "default"})
    assert found == SERVICE_KEY | {"DSPY_SERVICE_CREDENTIALS_DEFAULT": ("job-keys", "default", False)}


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("together_ai/meta/llama", "TOGETHERAI_API_KEY"),
        ("fireworks-ai/x", "FIREWORKS_AI_API_KEY"),
    ],
)
def test_the_entry_is_named_as_the_variable_that_people_know(model, key):
    assert service_key_name(model) == key


def test_every_secret_that_must_be_there_is_named_with_its_place():
    ref = {"name": "openai", "key": "api-key"}
    spec = spec_of(
        {"default": {"name": "openai/x", "keyFrom": ref}, "task": {"name": "openai/y", "credentialsFrom": ref}},
        {"judge": {"name": "openai/z", "keyFrom": ref}},
    )
    assert [(found.path, found.own) for found in secret_references(spec, "mine")] == [
        ("spec.models.default.keyFrom", False),
        ("spec.models.task.credentialsFrom", True),
        ("spec.modelConfigs.judge.keyFrom", False),
    ]


def test_a_further_model_has_keys_by_its_name():
    ref = {"name": "openai", "key": "api-key"}
    further = {"judge_2": {"name": "anthropic/x", "keyFrom": ref}, "cheap": {"name": "openai/y"}}
    entries = key_environment(spec_of({"default": {"name": "ollama/x"}}, further), LOOPBACK)
    found = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in entries}
    assert found["DSPY_SERVICE_KEY_JUDGE_2"] == ref
    assert found["DSPY_SERVICE_KEY_CHEAP"]["key"] == "OPENAI_API_KEY"


def test_a_jobs_secrets_reach_both_containers_under_a_name_that_only_the_optimizer_undoes():
    ref = {"name": "serper", "key": "token"}
    spec = spec_of({"default": {"name": "ollama/x"}}).model_copy(update={"secrets": {"SERPER": KeyRef(**ref)}})
    found = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in key_environment(spec, LOOPBACK)}
    assert found["DSPY_SERVICE_SECRET_SERPER"] == ref
    assert "SERPER" not in found


UUID_NAME = "job-0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa"


@pytest.mark.parametrize(
    ("job", "secret", "own"),
    [(UUID_NAME, f"{UUID_NAME}-keys", True), (UUID_NAME, "serper", False), ("tickets", "tickets-keys", False)],
)
def test_only_the_secret_that_the_api_made_is_a_jobs_own(job, secret, own):
    held = {"TOKEN": KeyRef(name=secret, key="TOKEN")}
    spec = spec_of({"default": {"name": "ollama/x"}}).model_copy(update={"secrets": held})
    assert [(found.path, found.own) for found in secret_references(spec, job)] == [("spec.secrets.TOKEN", own)]
