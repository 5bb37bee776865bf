"""The list of code that a job carries, by the spec's JSON and by its model."""

from typing import Any

from dspy_service_core.resource import sources
from dspy_service_core.resource.job import CodeSource, OptimizationJobSpec
from dspy_service_core.resource.sources import ConfigMapKey, Source, sources_of, with_sources

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
    holding = [name for name, field in OptimizationJobSpec.model_fields.items() if field.annotation is CodeSource]
    assert list(sources.NAMES) == holding


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
