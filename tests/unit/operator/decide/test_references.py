"""What a job may name: every field of a spec that names something, and what it must not name."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from dspy_service_core.kube.resources import CONFIG_MAPS, SECRETS
from dspy_service_core.resource import names, sources
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.code import ProgramFile
from dspy_service_core.resource.spec.models import Model
from dspy_service_operator.decide.observed import Prerequisites
from dspy_service_operator.reconcile.prerequisites import PrerequisiteCheck
from dspy_service_operator.settings import OperatorSettings
from operator_harness import Harness
from operator_objects import make_raw

UUID, OTHER_UUID = "0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa", "1c9b0d75-1dae-4c1d-9064-3f8bc4e2daab"
MINE, ITS_SECRET, ANOTHERS = f"job-{UUID}", f"job-{UUID}-keys", f"job-{OTHER_UUID}-keys"
UID = "uid-of-mine"
PART_OF = "app.kubernetes.io/part-of"
LABEL = {names.LABEL_MODEL_KEY: "true"}
DIGEST = f"sha256:{'0' * 64}"
SETTINGS = OperatorSettings(
    store_url="s3://bucket/dspy",
    store_secret="store-keys",
    runner_image_pull_secrets="registry",
    own_secrets="api-token",
    allowed_images="registry.example.org/team",
)

MODELS = (*(f"models.{role}" for role in names.MODEL_ROLES), "modelConfigs.judge")
NAMES_SOMETHING = {
    "signature.configMapKeyRef",
    "signature.payload",
    "metric.configMapKeyRef",
    "metric.payload",
    "program.configMapKeyRef",
    "program.payload",
    "program.files[].configMapKeyRef",
    "program.files[].payload",
    "initial.configMapKeyRef",
    "initial.payload",
    "joined.configMapKeyRef",
    "joined.payload",
    "secrets",
    "dataset.configMapKeyRef",
    "dataset.payload",
    "dataset.uri",
    *(f"{model}.{ref}" for model in MODELS for ref in ("keyFrom", "credentialsFrom")),
    "run.image",
}
"""Each is tried below."""
NAMES_BY_A_LIST_OF_ITS_OWN = {
    "module.name",  # the registry
    "optimizer.name",
    *(f"{model}.{part}" for model in MODELS for part in ("name", "baseUrl", "extra")),  # endpoints
    "run.queue",  # Kueue's, of the namespace
}
NAMES_NOTHING = {
    *("module.kwargs", "optimizer.kwargs", "optimizer.compileKwargs"),
    *("signature.code", "metric.code", "dataset.rows", "dataset.digest"),
    *("columns.inputs", "columns.outputs"),
    *(f"split.{part}" for part in ("train", "val", "test", "shuffle", "seed")),
    *(f"{model}.prices.{part}" for model in MODELS for part in ("input", "output", "cached")),
    *(f"{model}.{part}" for model in MODELS for part in ("modelType", "temperature", "maxTokens", "topP")),
    *(f"run.resources.{kind}.{part}" for kind in ("requests", "limits") for part in ("cpu", "memory")),
    *(f"run.{part}" for part in ("priority", "retries", "deadlineSeconds", "ttlSeconds", "maxFailedRows", "require")),
    *("run.name", "run.note", "run.threads", "run.hedge"),
    *(f"budget.{part}" for part in ("metricCalls", "modelCalls", "tokens", "costUsd", "seconds")),
    *("columns.withoutGold", "suspend", "stop", "adapter", "split.column"),
    *("program.name", "program.kwargs", "program.code", "program.files[].path", "program.files[].code"),
}
_REFERENCES = {"KeyRef", "PayloadRef", "DatasetPayload"}


def fields(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every field of the spec; what refers to an object is one."""
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        if get_origin(field.annotation) is dict and get_args(field.annotation)[1] is Model:
            yield from fields(Model, f"{here}.judge.")
            continue
        if get_origin(field.annotation) is list and issubclass(ProgramFile, get_args(field.annotation)[0]):
            yield from fields(ProgramFile, f"{here}[].")
            continue
        inner = [each for each in _types(field.annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
        if not inner or inner[0].__name__ in _REFERENCES:
            yield here
        else:
            yield from fields(inner[0], f"{here}.")


def _types(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _types(each)
    else:
        yield annotation


def test_no_field_of_a_spec_is_forgotten():
    known = [NAMES_SOMETHING, NAMES_BY_A_LIST_OF_ITS_OWN, NAMES_NOTHING]
    assert set(fields(OptimizationJobSpec)) == set().union(*known)
    assert sum(map(len, known)) == len(set().union(*known))


async def look(*objects: tuple[Any, dict[str, Any]], name: str = "mine", **given: Any) -> Prerequisites:
    harness = Harness()
    for resource, body in objects:
        harness.api.add(resource, body)
    check = PrerequisiteCheck(harness.api.client, lambda *_: None, SETTINGS)
    return await check.look(make_raw(name, uid=UID, **given))


def secret(name: str, owner: str = "", labels: dict[str, str] = LABEL, kind: str = "Opaque") -> Any:
    return SECRETS, {**_object(name, owner, labels), "type": kind, "data": {"key": "c2VjcmV0"}}


def config_map(owner: str = "", **labels: str) -> Any:
    content = {"rows.csv": "text,label\na,b", "code.py": "x = 1"}
    return CONFIG_MAPS, {**_object("shared", owner, labels), "data": content}


def _object(name: str, owner: str, labels: dict[str, str]) -> dict[str, Any]:
    reference = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "any", "uid": owner}
    return {"metadata": {"name": name, "labels": labels, "ownerReferences": [reference] if owner else []}}


def models(path: str, field: str, name: str) -> dict[str, Any]:
    model = {"name": "openai/x"}
    part, _, called = path.partition(".")
    named = {called: model | {field: {"name": name, "key": "key"}}}
    return {"models": {"default": model} | named} if part == "models" else {"models": {"default": model}, part: named}


EVERY_MODEL = pytest.mark.parametrize("model", MODELS)


@EVERY_MODEL
@pytest.mark.parametrize(
    "named",
    [
        pytest.param(secret("mine", UID), id="of this job"),
        pytest.param(secret("of-another", "uid-of-another"), id="of another job"),
        pytest.param(secret(ANOTHERS, "uid-of-another"), id="of another job, made by the API"),
        pytest.param(secret(ANOTHERS), id="of that name alone, as long as the job is not there"),
        pytest.param(secret("x", labels=LABEL | names.child_labels("tickets")), id="labelled as a job's"),
        pytest.param(secret("x", labels=LABEL | {names.LABEL_MANAGED_BY: names.MANAGED_BY}), id="of the service"),
        pytest.param(secret("x", labels=LABEL | {PART_OF: names.MANAGED_BY}), id="of the chart"),
        pytest.param(secret("dspy-service-model-keys"), id="the service's model keys"),
        pytest.param(secret("store-keys"), id="the store's credentials"),
        pytest.param(secret("registry"), id="the registry's credentials"),
        pytest.param(secret("api-token"), id="another one that the operator of the service names"),
        pytest.param(secret("x", kind="kubernetes.io/service-account-token"), id="an account's token"),
        pytest.param(secret("x", kind="kubernetes.io/tls"), id="a TLS key"),
        pytest.param(secret("x", kind="kubernetes.io/dockerconfigjson"), id="a registry's"),
        pytest.param(secret("x", kind="helm.sh/release.v1"), id="Helm's"),
    ],
)
async def test_a_key_is_never_a_jobs_or_the_services_whatever_its_label(model: str, named: Any):
    found = await look(named, **models(model, "keyFrom", named[1]["metadata"]["name"]))
    assert f"spec.{model}.keyFrom: Secret '{named[1]['metadata']['name']}'" in found.invalid


@EVERY_MODEL
async def test_a_key_of_ones_own_is_taken(model: str):
    assert await look(secret("openai"), **models(model, "keyFrom", "openai")) == Prerequisites()


@EVERY_MODEL
@pytest.mark.parametrize("named", [secret("openai"), secret("openai", UID), secret("tickets-keys", UID)])
async def test_withheld_credentials_are_the_apis_alone(model: str, named: Any):
    found = await look(named, **models(model, "credentialsFrom", named[1]["metadata"]["name"]))
    assert f"spec.{model}.credentialsFrom is the HTTP API's alone" in found.invalid


@EVERY_MODEL
async def test_nor_does_the_apis_label_make_another_name_the_apis(model: str):
    found = await look(
        secret("mine-keys", UID), name="mine", api_made=True, **models(model, "credentialsFrom", "mine-keys")
    )
    assert f"spec.{model}.credentialsFrom is the HTTP API's alone" in found.invalid


@EVERY_MODEL
@pytest.mark.parametrize("name", ["openai", ANOTHERS])
async def test_the_apis_job_too_names_only_its_own_secret(model: str, name: str):
    own = models(model, "credentialsFrom", name)
    found = await look(secret(name, UID), name=MINE, api_made=True, **own)
    assert f"spec.{model}.credentialsFrom: Secret '{name}' is not this job's" in found.invalid


@EVERY_MODEL
@pytest.mark.parametrize("owner", ["", "uid-of-an-earlier-job"])
async def test_what_an_earlier_job_of_its_name_has_left_is_not_its_own(model: str, owner: str):
    """The API is about to replace it, so that the job waits."""
    own = models(model, "credentialsFrom", ITS_SECRET)
    found = await look(secret(ITS_SECRET, owner), name=MINE, api_made=True, **own)
    assert (found.missing_reason, "belongs to another job" in found.missing) == ("SecretNotUsable", True)
    assert await look(secret(ITS_SECRET, UID, labels={}), name=MINE, api_made=True, **own) == Prerequisites()


def secrets(name: str) -> dict[str, Any]:
    return {"secrets": {"SEARCH_TOKEN": {"name": name, "key": "key"}}}


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(secret("mine", UID), id="of this job"),
        pytest.param(secret("of-another", "uid-of-another"), id="of another job"),
        pytest.param(secret(ANOTHERS), id="of a name of the API's"),
        pytest.param(secret(ITS_SECRET), id="of the API's name for a job of this name"),
        pytest.param(secret("dspy-service-model-keys"), id="the service's model keys"),
        pytest.param(secret("store-keys"), id="the store's credentials"),
        pytest.param(secret("x", labels=LABEL | {PART_OF: names.MANAGED_BY}), id="of the chart"),
        pytest.param(secret("x", kind="kubernetes.io/service-account-token"), id="an account's token"),
    ],
)
@pytest.mark.parametrize("job", ["mine", MINE])
async def test_a_secret_of_the_jobs_code_is_never_a_jobs_or_the_services(job: str, named: Any):
    name = named[1]["metadata"]["name"]
    found = await look(named, name=job, **secrets(name))
    assert found.invalid.startswith(("spec.secrets.SEARCH_TOKEN: Secret", "metadata.name"))


async def test_a_secret_needs_the_label_and_the_key():
    assert await look(secret("serper"), **secrets("serper")) == Prerequisites()
    bare = await look(secret("serper", labels={}), **secrets("serper"))
    assert (bare.missing_reason, "lacks the label dspy-service.io/model-key" in bare.missing) == (
        "SecretNotUsable",
        True,
    )
    other = await look(secret("serper"), secrets={"TOKEN": {"name": "serper", "key": "other"}})
    assert "spec.secrets.TOKEN: Secret 'serper' has no key 'other'" in other.missing
    gone = await look(**secrets("serper"))
    assert (gone.missing_reason, gone.missing) == (
        "SecretNotFound",
        "spec.secrets.SEARCH_TOKEN: there is no Secret 'serper'.",
    )


async def test_the_apis_job_has_its_secrets_in_its_own_secret():
    own = secrets(ITS_SECRET)
    assert await look(secret(ITS_SECRET, UID, labels={}), name=MINE, api_made=True, **own) == Prerequisites()
    foreign = await look(secret(ANOTHERS, "uid-of-another"), name=MINE, api_made=True, **secrets(ANOTHERS))
    assert "is one of a job's" in foreign.invalid
    left = await look(secret(ITS_SECRET, "uid-of-an-earlier-job"), name=MINE, api_made=True, **own)
    assert "belongs to another job" in left.missing


PARTS = pytest.mark.parametrize("part", [*sources.NAMES, "dataset", "program.files[0]"])


def carrying(part: str, content: dict[str, Any]) -> dict[str, Any]:
    """Fields of a spec, with the content where the part is."""
    if part == "program.files[0]":
        return {"program": {"code": "x = 1", "files": [{"path": "a.py", **content}]}}
    return {part: content}


@PARTS
async def test_documents_in_the_store_are_the_apis_alone(part: str):
    payload = {"digest": DIGEST} | ({"rows": 4, "bytes": 100} if part == "dataset" else {})
    given = carrying(part, {"payload": payload})
    assert f"spec.{part}.payload is the HTTP API's alone" in (await look(**given)).invalid
    assert await look(name=MINE, api_made=True, **given) == Prerequisites()


@PARTS
@pytest.mark.parametrize(
    ("named", "words"),
    [
        (config_map("uid-of-another"), "ConfigMap 'shared' belongs to another job"),
        (config_map(**{names.LABEL_MANAGED_BY: names.MANAGED_BY}), "ConfigMap 'shared' belongs to the service"),
        (config_map(**{PART_OF: names.MANAGED_BY}), "ConfigMap 'shared' belongs to the service"),
        (config_map(), ""),
        (config_map(UID), ""),
    ],
)
async def test_config_maps_are_not_another_jobs_or_the_services(part: str, named: Any, words: str):
    ref = {"configMapKeyRef": {"name": "shared", "key": "rows.csv" if part == "dataset" else "code.py"}}
    found = await look(named, **carrying(part, ref))
    assert words in found.invalid
    assert bool(words) == bool(found.invalid)


@pytest.mark.parametrize(
    ("uri", "refused"),
    [
        ("s3://bucket/dspy", True),
        ("s3://bucket/dspy/default/jobs/x/payload.json", True),
        ("s3://bucket/dspy-data/rows.csv", False),
        ("s3://bucket/rows.csv", False),
    ],
)
async def test_rows_are_never_read_from_the_services_own_store(uri: str, refused: bool):
    found = await look(dataset={"uri": uri, "digest": DIGEST})
    assert bool(found.invalid) is refused
    assert ("spec.dataset.uri: the service's own store" in found.invalid) is refused


@pytest.mark.parametrize(
    ("image", "refused"),
    [
        ("registry.example.org/team:1", False),
        ("registry.example.org/team/runner", False),
        ("registry.example.org/team-evil", True),
        ("registry.example.org/team/../evil", True),
    ],
)
async def test_images_are_below_a_whole_part(image: str, refused: bool):
    found = await look(run={"image": image})
    assert (f"spec.run.image: '{image}' is not allowed" in found.invalid) is refused
