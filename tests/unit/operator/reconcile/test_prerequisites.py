import threading
from typing import Any

import pytest

from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.code.source_text import QUICK_CHARACTERS
from dspy_service_core.kube.resources import CONFIG_MAPS, SECRETS
from dspy_service_core.registry.registry import Registry
from dspy_service_core.resource import names
from dspy_service_operator.decide.observed import Prerequisites
from dspy_service_operator.main import make_check
from dspy_service_operator.reconcile.prerequisites import LONGEST_NAME, PrerequisiteCheck
from dspy_service_operator.settings import OperatorSettings
from operator_harness import Harness
from operator_objects import METRIC, SIGNATURE, make_raw

UUID = "0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa"
KEY_REF = {"name": "openai", "key": "api-key"}
WITH_KEY = {"default": {"name": "openai/x", "keyFrom": KEY_REF}}
USABLE_LABEL = {names.LABEL_MODEL_KEY: "true"}


async def look(*objects: tuple[Any, dict[str, Any]], name: str = "tickets", **spec: Any) -> Prerequisites:
    """With the submit's own checks."""
    settings = OperatorSettings(
        allowed_images="acme/,registry.example.org/team", allowed_base_url_hosts="*.example.org"
    )
    harness = Harness()
    for resource, body in objects:
        harness.api.add(resource, body)
    check = PrerequisiteCheck(
        harness.api.client, make_check(Registry.load(), settings.allowed_base_url_hosts), settings
    )
    return await check.look(make_raw(name, **spec))


def secret(labels: dict[str, str] | None = None, **data: str) -> tuple[Any, dict[str, Any]]:
    return SECRETS, {"metadata": {"name": "openai", "labels": labels or {}}, "data": data}


def config_map(**data: str) -> tuple[Any, dict[str, Any]]:
    entries = {name.replace("_", "."): text for name, text in data.items()}
    return CONFIG_MAPS, {"metadata": {"name": "tickets"}, "data": entries}


def reference(key: str) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": "tickets", "key": key}}


async def test_a_usable_job_has_all_that_it_needs():
    assert await look() == Prerequisites()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"optimizer": {"name": "magic"}}, "magic"),
        ({"module": {"name": "os.system"}}, "os.system"),
        ({"signature": {"code": "x ="}}, "signature"),
        ({"columns": {"inputs": {"text": "text"}, "outputs": {"nothing": "label"}}}, "nothing"),
        ({"dataset": {"rows": [{"text": "a"}]}}, "label"),
        ({"split": {"train": "0.5", "val": "0.1", "test": "0.1"}}, "split"),
        ({"run": {"image": "evil/image"}}, "evil/image"),
        ({"run": {"image": "registry.example.org/team-evil"}}, "registry.example.org/team-evil"),
        ({"models": {"default": {"name": "x", "baseUrl": "http://evil.org"}}}, "spec.models.default.baseUrl"),
        ({"name": "x" * (LONGEST_NAME + 1)}, "longer than"),
        ({"name": UUID}, "HTTP API's own"),
        ({"name": f"job-{UUID}"}, "HTTP API's own"),
    ],
)
async def test_what_the_api_would_refuse_is_refused_naming_it(spec, words):
    assert words in (await look(**spec)).invalid


@pytest.mark.parametrize(("length", "on_the_loop"), [(0, True), (QUICK_CHARACTERS, False)])
async def test_long_sources_are_read_beside_the_loop(length, on_the_loop):
    threads = []
    harness = Harness()
    check = PrerequisiteCheck(
        harness.api.client, lambda *_: threads.append(threading.current_thread()), harness.settings
    )

    await check.look(make_raw("tickets", signature={"code": "#" * length + SIGNATURE}))

    assert (threads == [threading.main_thread()]) == on_the_loop


async def test_the_apis_own_names_are_its_own():
    assert await look(name=f"job-{UUID}", api_made=True) == Prerequisites()


@pytest.mark.parametrize("image", ["acme/runner:1", "registry.example.org/team/x", "registry.example.org/team:1", ""])
async def test_allowed_images_pass(image):
    assert await look(run={"image": image}) == Prerequisites()


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([], "SecretNotFound"),
        ([secret(**{"api-key": "c2VjcmV0"})], "SecretNotUsable"),
        ([secret({names.LABEL_MODEL_KEY: "false"}, **{"api-key": "c2VjcmV0"})], "SecretNotUsable"),
        ([secret(USABLE_LABEL, other="c2VjcmV0")], "SecretNotUsable"),
        ([secret(USABLE_LABEL, **{"api-key": "c2VjcmV0"})], ""),
    ],
)
async def test_a_secret_must_be_there_and_say_that_jobs_may_use_it(objects, reason):
    found = await look(*objects, models=WITH_KEY)
    assert found.missing_reason == reason
    assert ("spec.models.default.keyFrom" in found.missing) == bool(reason)
    assert "c2VjcmV0" not in found.missing


async def test_what_lies_in_config_maps_is_checked_too():
    sources = {
        "signature": reference("signature.py"),
        "metric": reference("metric.py"),
        "dataset": reference("rows.csv"),
    }
    missing = await look(**sources)
    assert (missing.missing_reason, "'tickets'" in missing.missing) == ("ConfigMapNotFound", True)
    partly = await look(config_map(signature_py=SIGNATURE, rows_csv="text,label\na,b\n"), **sources)
    assert (partly.missing_reason, "'metric.py'" in partly.missing) == ("ConfigMapNotUsable", True)
    rows = "text,label\n" + "a,b\n" * 10
    good = config_map(signature_py=SIGNATURE, metric_py=METRIC, rows_csv=rows)
    assert await look(good, **sources) == Prerequisites()
    bad = await look(config_map(signature_py=SIGNATURE, metric_py="x = 1", rows_csv=rows), **sources)
    assert "metric" in bad.invalid
    unlabelled = await look(config_map(signature_py=SIGNATURE, metric_py=METRIC, rows_csv="text\na\n"), **sources)
    assert "label" in unlabelled.invalid


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("rows", '{"a": 1}', "ending"),
        ("rows.jsonl", "", "at least one row"),
        ("rows.jsonl", '{"a": 1}\n{"a":', "Row 2"),
        ("rows.jsonl", "[1]", "Row 1"),
        ("rows.json", '{"a": 1}', "array"),
        ("rows.json", "{", "not a JSON array"),
        ("rows.csv", "a,b\n1,2\n3\n", "Row 2"),
        ("rows.csv", "a\n1,2\n", "Row 1"),
        ("rows.csv", 'a\n"1"x\n', "not CSV"),
        ("rows.parquet", "PAR1", "Parquet"),
    ],
)
async def test_what_is_no_dataset_is_refused_with_its_row(key, text, words):
    rows = (CONFIG_MAPS, {"metadata": {"name": "tickets"}, "data": {key: text}})
    assert words in (await look(rows, dataset=reference(key))).invalid


PROGRAM = "class Answer(dspy.Module):\n    def forward(self, text): ...\n"


async def contents_of(*config_maps: dict[str, str], **program: Any) -> tuple[Prerequisites, Contents | None, Harness]:
    """What the checks are given of a program, where the ConfigMaps `files-0`, ... are there."""
    harness, seen = Harness(), []
    for place, data in enumerate(config_maps):
        harness.api.add(CONFIG_MAPS, {"metadata": {"name": f"files-{place}"}, "data": data})
    check = PrerequisiteCheck(harness.api.client, lambda _, contents: seen.append(contents), harness.settings)
    raw = make_raw("tickets", program={"code": PROGRAM, **program})
    for replaced in ("module", "signature", "columns"):
        del raw["spec"][replaced]
    return await check.look(raw), next(iter(seen), None), harness


def file_at(path: str, place: int, key: str) -> dict[str, Any]:
    return {"path": path, "configMapKeyRef": {"name": f"files-{place}", "key": key}}


async def test_a_program_is_checked_with_its_files_wherever_they_are():
    files = [{"path": "a/__init__.py", "code": ""}, file_at("a/b.py", 0, "b.py"), file_at("terms.csv", 1, "terms")]
    found, contents, _ = await contents_of({"b.py": "x = 1", "other": "y"}, {"terms": "t"}, files=files)
    assert found == Prerequisites()
    assert contents.files == {"a/__init__.py": "", "a/b.py": "x = 1", "terms.csv": "t"}
    assert contents.code["program"] == PROGRAM


async def test_a_config_map_of_many_files_is_fetched_once():
    files = [file_at(f"f{n}.py", 0, f"k{n}") for n in range(64)]
    _, contents, harness = await contents_of({f"k{n}": str(n) for n in range(64)}, files=files)
    assert len(contents.files) == 64
    assert len([read for read in harness.api.reads if read == ("get", CONFIG_MAPS.plural)]) == 1


async def test_files_beyond_the_limit_are_refused_before_all_are_read():
    data = {"k": "x" * 1_000_000}
    found, contents, _ = await contents_of(*[data] * 6, files=[file_at(f"f{n}", n, "k") for n in range(6)])
    assert "spec.program.files: the program's files have 5000000 bytes" in found.invalid
    assert contents is None


@pytest.mark.parametrize(
    ("place", "key", "reason", "words"),
    [
        (7, "k", "ConfigMapNotFound", "spec.program.files[0].configMapKeyRef: there is no ConfigMap 'files-7'"),
        (0, "none", "ConfigMapNotUsable", "ConfigMap 'files-0' has no text under 'none'"),
    ],
)
async def test_a_program_waits_for_its_files(place: int, key: str, reason: str, words: str):
    found, _, _ = await contents_of({"k": "x"}, files=[file_at("a.py", place, key)])
    assert (found.missing_reason, words in found.missing) == (reason, True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([{"path": "json.py", "code": "x"}], "spec.program.files[0].path: it would hide Python's own module 'json'"),
        ([{"path": "a.py", "code": "x"}] * 2, "spec.program.files[1].path: another file has the same path"),
        ([{"path": "a", "code": "x"}, {"path": "a/b", "code": "x"}], "spec.program.files[0].path: is a file"),
    ],
)
async def test_paths_that_a_schema_lets_through_are_refused(files: list[dict[str, Any]], words: str):
    spec = make_raw("tickets", program={"code": PROGRAM, "files": files})["spec"]
    given = {name: value for name, value in spec.items() if name not in ("module", "signature", "columns")}
    assert words in (await look_at(given)).invalid


async def look_at(spec: dict[str, Any]) -> Prerequisites:
    harness = Harness()
    check = PrerequisiteCheck(harness.api.client, make_check(Registry.load(), ()), harness.settings)
    raw = make_raw("tickets")
    raw["spec"] = spec
    return await check.look(raw)
