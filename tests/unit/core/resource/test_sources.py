"""The list of code that a job carries, by the spec's JSON and by its model."""

from typing import Any, get_args

from dspy_service_core.resource import sources
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import ConfigMapKey, Source, sources_of, with_sources
from dspy_service_core.resource.spec.code import CodeSource, JoinedSource, StateSource

DIGEST = f"sha256:{'0' * 64}"
INLINE = {"code": "def metric(gold, pred): ..."}
REFERENCE = {"configMapKeyRef": {"name": "tickets", "key": "signature.py"}}
PAYLOAD = {"payload": {"digest": DIGEST}}


def spec(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "module": {"name": "cot"},
        "optimizer": {"name": "miprov2"},
        "signature": REFERENCE,
        "metric": INLINE,
        "dataset": {"rows": [{"text": "a"}]},
        "columns": {"inputs": {"text": "text"}},
        "models": {"default": {"name": "openai/x"}},
    }
    return given | changes


def test_every_field_of_the_spec_that_holds_code_is_a_source() -> None:
    holding = {
        name
        for name, field in OptimizationJobSpec.model_fields.items()
        if any(
            each in (StateSource, JoinedSource) or CodeSource in getattr(each, "__mro__", ())
            for each in _types(field.annotation)
        )
    }
    assert set(sources.NAMES) == holding


def _types(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def test_each_source_says_where_its_text_is() -> None:
    signature, metric = sources_of(spec())
    assert signature == Source("signature", config_map_key=ConfigMapKey("tickets", "signature.py"))
    assert (signature.path, signature.mounted) == ("spec.signature", "signature/value")
    assert metric == Source("metric", code=INLINE["code"])
    assert sources_of(spec(metric=PAYLOAD))[1] == Source("metric", payload_digest=DIGEST)


def test_the_model_lists_them_alike() -> None:
    for given in (spec(), spec(metric=PAYLOAD), spec(signature=INLINE)):
        assert OptimizationJobSpec.model_validate(given).sources() == sources_of(given)


def test_without_its_text_a_source_keeps_its_references() -> None:
    light = with_sources(spec(), Source.reference)
    assert light == spec(metric={})
    assert with_sources(spec(metric=PAYLOAD), Source.reference) == spec(metric=PAYLOAD)


def test_a_source_takes_another_form_and_keeps_what_else_is_said_of_it() -> None:
    given = spec(metric={**REFERENCE, "strict": True})
    changed = with_sources(given, lambda source: {"code": source.name})
    assert changed == spec(signature={"code": "signature"}, metric={"code": "metric", "strict": True})
    assert given["signature"] == REFERENCE


FILES = [
    {"path": "helpers/text.py", "code": "def clean(text): ..."},
    {"path": "data/terms.csv", "configMapKeyRef": {"name": "tickets", "key": "terms.csv"}},
    {"path": "helpers/__init__.py", "code": ""},
    {"path": "large.json", **PAYLOAD},
]


def program_spec(**changes: Any) -> dict[str, Any]:
    program = {**REFERENCE, "name": "Answer", "kwargs": {"hops": 2}, "files": FILES}
    given = spec(program=program, initial=PAYLOAD, joined=REFERENCE, **changes)
    return {name: value for name, value in given.items() if name not in ("module", "signature", "columns")}


def test_a_programs_files_are_sources_too() -> None:
    metric, program, *files, initial, joined = sources_of(program_spec())
    assert (metric.name, program.name, initial.name, joined.name) == ("metric", "program", "initial", "joined")
    assert [(file.name, file.file) for file in files] == [("program_files", each["path"]) for each in FILES]
    assert [(file.path, file.mounted) for file in files[:2]] == [
        ("spec.program.files[0]", "program_files/0/value"),
        ("spec.program.files[1]", "program_files/1/value"),
    ]
    assert [file.code for file in files] == ["def clean(text): ...", None, "", None]
    assert files[1].config_map_key == ConfigMapKey("tickets", "terms.csv")
    assert files[3].payload_digest == DIGEST
    assert len({source.mounted for source in sources_of(program_spec())}) == 8


def test_a_model_of_a_program_lists_them_alike() -> None:
    assert OptimizationJobSpec.model_validate(program_spec()).sources() == sources_of(program_spec())


def test_files_take_another_form_and_keep_their_paths() -> None:
    light = with_sources(program_spec(), Source.reference)
    program = light["program"]
    assert (program["name"], program["kwargs"], program["configMapKeyRef"]) == (
        "Answer",
        {"hops": 2},
        REFERENCE["configMapKeyRef"],
    )
    assert program["files"] == [
        {"path": "helpers/text.py"},
        FILES[1],
        {"path": "helpers/__init__.py"},
        FILES[3],
    ]
    digested = with_sources(program_spec(), lambda _: PAYLOAD)
    assert {source.payload_digest for source in sources_of(digested)} == {DIGEST}
    assert with_sources(digested, Source.reference) == digested


def test_the_model_without_content_needs_no_text() -> None:
    spec = OptimizationJobSpec.without_content(program_spec())
    assert spec.program is not None
    assert [file.path for file in spec.program.files] == [each["path"] for each in FILES]
    assert (spec.module_name, spec.module_kwargs) == ("Answer", {"hops": 2})
