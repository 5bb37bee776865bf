import pytest

from dspy_service_core.resource.words import resource_words, words_of

WORDS = words_of(
    {"spec.columns": "mapping", "spec.models.default": "model", "spec.models.default.baseUrl": "model.url"}
)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("spec.columns", "mapping"),
        ("spec.columns.inputs.text", "mapping.inputs.text"),
        ("spec.columns[0]", "mapping[0]"),
        ("spec.columnsOfMine", "spec.columnsOfMine"),
        ("spec.models.default.extra.baseUrl", "model.extra.baseUrl"),
        ("spec.models.default.baseUrl", "model.url"),
        ("spec.models.defaults", "spec.models.defaults"),
    ],
)
def test_the_longest_declared_path_is_put_into_the_senders_words(path: str, told: str) -> None:
    assert WORDS(path) == told
    assert resource_words(path) == path
