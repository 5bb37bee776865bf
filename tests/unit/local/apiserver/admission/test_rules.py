"""CEL rules: what a definition may use, what a rule is shown, and the words when it is broken."""

from typing import Any

import pytest

from dspy_service_local.apiserver.admission.programs import RuleError
from dspy_service_local.apiserver.admission.projection import escaped, projected, reads, together
from dspy_service_local.apiserver.admission.schema import StructuralAdmission

_PROPERTIES = {
    "n": {"type": "integer"},
    "share": {"type": "number"},
    "text": {"type": "string"},
    "namespace": {"type": "string"},
    "a-b": {"type": "string"},
    "items": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}},
    },
}


def _problems(rule: dict[str, Any], spec: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": _PROPERTIES, "x-kubernetes-validations": [rule]}},
    }
    before = None if old is None else {"metadata": {}, "spec": old}
    return [str(problem) for problem in StructuralAdmission(schema).problems({"metadata": {}, "spec": spec}, before)]


@pytest.mark.parametrize(
    ("rule", "spec", "old", "broken"),
    [
        ("self.n > 1", {"n": 2}, None, False),
        ("self.n > 1", {"n": 1}, None, True),
        ("!has(self.n) || self.n > 1", {}, None, False),
        ("self.n > 1", {}, None, True),
        ("self.n == oldSelf.n", {"n": 1}, None, False),
        ("self.n == oldSelf.n", {"n": 1}, {"n": 2}, True),
        ("has(self.n) == has(oldSelf.n)", {}, {"n": 2}, True),
        ("self.share * 2.0 > 1.0", {"share": 1}, None, False),
        ("self.__namespace__ == 'x'", {"namespace": "x"}, None, False),
        ("self.a__dash__b == 'x'", {"a-b": "y"}, None, True),
        ("self.items.all(i, i.v > 0)", {"items": [{"name": "a", "v": 0}]}, None, True),
        ("self.text.lowerAscii() == 'x'", {"text": "X"}, None, False),
        ("self.text.matches('^[a-z]+$')", {"text": "1"}, None, True),
        (
            "self.items.size() == 2 && self.text.size() == 3",
            {"items": [{"name": "a"}, {"v": 1}], "text": "abc"},
            None,
            False,
        ),
        ("self.items.size() == 2", {"items": [{"name": "a"}]}, None, True),
        ("'n' in self", {"n": 1}, None, False),
    ],
)
def test_rules_hold_or_not(rule: str, spec: dict[str, Any], old: dict[str, Any] | None, broken: bool) -> None:
    assert bool(_problems({"rule": rule}, spec, old)) is broken


def test_an_unchanged_part_is_not_checked_again() -> None:
    assert _problems({"rule": "self.n > 1"}, {"n": 0}, {"n": 0}) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, 'spec: Invalid value: "object": failed rule: self.n > 9'),
        ({"message": "too few"}, 'spec: Invalid value: "object": too few'),
        ({"messageExpression": "'only ' + string(self.n)"}, 'spec: Invalid value: "object": only 1'),
        ({"messageExpression": "self.none", "message": "fixed"}, 'spec: Invalid value: "object": fixed'),
        ({"message": "m", "fieldPath": ".n"}, 'spec.n: Invalid value: "object": m'),
        ({"message": "m", "reason": "FieldValueForbidden"}, "spec: Forbidden: m"),
    ],
)
def test_the_words(rule: dict[str, str], expected: str) -> None:
    assert _problems({"rule": "self.n > 9", **rule}, {"n": 1}) == [expected]


def test_elements_of_keyed_lists_know_their_old_selves() -> None:
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "only grows"}],
    }
    listed = {"type": "array", "items": item} | {
        key: _PROPERTIES["items"][key] for key in ("x-kubernetes-list-type", "x-kubernetes-list-map-keys")
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"list": listed}}}}
    old = {"metadata": {}, "spec": {"list": [{"name": "a", "v": 2}, {"name": "b", "v": 5}]}}
    new = {"metadata": {}, "spec": {"list": [{"name": "b", "v": 4}, {"name": "c", "v": 0}, {"name": "a", "v": 3}]}}
    problems = StructuralAdmission(schema).problems(new, old)
    assert [str(problem) for problem in problems] == ['spec.list[0]: Invalid value: "object": only grows']


@pytest.mark.parametrize("rule", ["self.n >", "quantity(self.text).isInteger()", "self.?n.hasValue()"])
def test_what_is_not_supported_is_refused_at_once(rule: str) -> None:
    with pytest.raises(RuleError):
        _problems({"rule": rule}, {})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("self.a.size() > 0 && has(self.b.c)", {"a": "size", "b": {"c": "exists"}}),
        ("has(self.a) && self.a.size() > 0", {"a": "size"}),
        ("self.a.size() > 0 && self.a.all(x, x > 0)", {"a": "whole"}),
        ("self.a.b == 1 && self.a.size() > 0", {"a": "whole"}),
        ("self.a.size() > 0 && self.a.b == 1", {"a": "whole"}),
        ("self.a.size() == 1 && has(self.a.b)", {"a": "whole"}),
        ("self.size() > 0", "whole"),
        ("has(self.a) && self.a.b == 1", {"a": {"b": "whole"}}),
        ("'self.x' == self.y", {"y": "whole"}),
        ("self.a[0].b", {"a": "whole"}),
        ("size(self)", "whole"),
        ("self == oldSelf", "whole"),
        ("[1].all(x, x == self.q)", {"q": "whole"}),
        ("other.self.x == 1", {}),
        ("has(self.a) == has(self.a)", {"a": "exists"}),
        ("has(self.a) && self.a", {"a": "whole"}),
    ],
)
def test_reads(source: str, expected: object) -> None:
    assert reads(source, "self") == expected


@pytest.mark.parametrize(
    ("several", "expected"),
    [
        ([], {}),
        (["exists"], "exists"),
        (["exists", "exists"], "exists"),
        (["exists", "size"], "size"),
        (["size", "whole"], "whole"),
        (["exists", {"a": "size"}], {"a": "size"}),
        (["size", {"a": "size"}], "whole"),
        ([{"a": "exists"}, {"b": "size"}, {"a": {"c": "whole"}}], {"a": {"c": "whole"}, "b": "size"}),
        ([{"a": {"b": "exists"}}, "exists", {"a": {"b": "size", "c": "exists"}}], {"a": {"b": "size", "c": "exists"}}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_several_rules_read_together(several: list[Any], expected: object, turned: bool) -> None:
    assert together(several[::-1] if turned else several) == expected


def test_each_rule_of_a_place_sees_what_it_reads_whatever_runs_before_it() -> None:
    rules = ["self.n > 1", "self.text != oldSelf.text", "has(self.share)", "self.n > 2", "self.share > oldSelf.share"]
    node = {
        "type": "object",
        "properties": _PROPERTIES,
        "x-kubernetes-validations": [{"rule": rule, "message": rule} for rule in rules],
    }
    admission = StructuralAdmission({"type": "object", "properties": {"spec": node}})
    changed = {"metadata": {}, "spec": {"n": 2, "text": "a", "share": 1}}
    before = {"metadata": {}, "spec": {"n": 1, "text": "a", "share": 2}}

    found = [str(problem) for problem in admission.problems(changed, before)]

    assert [rule for rule in rules if any(rule in problem for problem in found)] == [rules[1], rules[3], rules[4]]
    assert len(found) == 3


def test_projection_keeps_what_is_read() -> None:
    value = {"a": {"b": 1, "c": 2}, "d": [1] * 1000, "e-f": 5, "g": [{"x": "y"}, "z"], "h": {"i": [1]}, "j": "four"}
    read = {"a": {"b": "whole"}, "d": "exists", "e__dash__f": "whole", "g": "size", "h": "size", "j": "size"}
    assert projected(read, value) == {
        "a": {"b": 1},
        "d": True,
        "e-f": 5,
        "g": [True, True],
        "h": {"i": True},
        "j": "four",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", "plain"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("in", "__in__"),
        ("a__b", "a__underscores__b"),
    ],
)
def test_escapes(name: str, expected: str) -> None:
    assert escaped(name) == expected
