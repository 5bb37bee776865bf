import pytest

from dspy_service_core.kube.errors import BadRequest
from dspy_service_local.apiserver.storage.selectors import Facets, parse_labels, select


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("", {}, True),
        ("a=1", {"a": "1"}, True),
        ("a=1", {"a": "2"}, False),
        ("a==1", {"a": "1"}, True),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a=", {"a": ""}, True),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {}, True),
        ("! a", {"a": ""}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a in (1)", {}, False),
        ("a notin (1,2)", {}, True),
        ("a notin (1,2)", {"a": "2"}, False),
        ("example.com/x=y, b in (c),!d", {"example.com/x": "y", "b": "c"}, True),
        ("example.com/x=y,b in (c),!d", {"example.com/x": "y", "b": "c", "d": ""}, False),
        ("in=1", {"in": "1"}, True),
    ],
)
def test_labels(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert all(requirement.matches(labels) for requirement in parse_labels(selector)) is expected


@pytest.mark.parametrize("selector", ["a in (", "a=b=c", "=x", "a in", "(a)", "a b"])
def test_malformed_labels(selector: str) -> None:
    with pytest.raises(BadRequest):
        parse_labels(selector)


def test_names_become_part_of_the_key() -> None:
    selection = select(None, "", "metadata.name=a,metadata.namespace=n", frozenset())
    assert (selection.namespace, selection.name, selection.by_facets) == ("n", "a", False)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=b", False),
        ("metadata.name!=b", True),
        ("metadata.name=a,metadata.name=b", False),
        ("status.phase=Running", True),
        ("status.phase!=Running", False),
        ("status.phase=", False),
    ],
)
def test_fields(selector: str, expected: bool) -> None:
    selection = select("n", "", selector, frozenset({"status.phase"}))
    assert selection.matches("n", "a", Facets({}, {"status.phase": "Running"})) is expected


@pytest.mark.parametrize("selector", ["spec.other=1", "nonsense", "status.phase"])
def test_unknown_fields(selector: str) -> None:
    with pytest.raises(BadRequest):
        select(None, "", selector, frozenset({"status.phase"}))
