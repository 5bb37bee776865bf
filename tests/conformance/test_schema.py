"""What a definition's schema does to objects: defaults, pruning, validation, CEL rules."""

from typing import Any

import pytest

from kube_http import KubeHttp, ok, refused
from widgets import collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def test_defaults_are_filled_in(http: KubeHttp, namespace: str) -> None:
    spec = ok(http.post(collection(namespace), widget("a", parts=[{"name": "p"}], optional=None)))["spec"]
    assert spec == {
        "size": 1,
        "note": "none",
        "nested": {"depth": 3},
        "parts": [{"name": "p", "count": 1}],
        "optional": None,
    }


def test_a_null_that_may_not_be_null_is_as_if_left_out(http: KubeHttp, namespace: str) -> None:
    spec = ok(http.post(collection(namespace), widget("a", note=None, code=None)))["spec"]
    assert spec["note"] == "none"
    assert "code" not in spec


def test_unknown_fields_are_pruned_and_warned_of(http: KubeHttp, namespace: str) -> None:
    response = http.post(collection(namespace), widget("a", typo=1, extra={"any": {"thing": [1]}}))
    spec = ok(response)["spec"]
    assert "typo" not in spec
    assert spec["extra"] == {"any": {"thing": [1]}}
    assert 'unknown field "spec.typo"' in response.headers["warning"].replace("\\", "")


def test_strict_validation_refuses_unknown_fields(http: KubeHttp, namespace: str) -> None:
    response = http.post(collection(namespace), widget("a", typo=1), fieldValidation="Strict")
    assert 'unknown field "spec.typo"' in refused(response, 400, "BadRequest")["message"]
    ignored = http.post(collection(namespace), widget("a", typo=1), fieldValidation="Ignore")
    assert "typo" not in ok(ignored)["spec"]
    assert "warning" not in ignored.headers


@pytest.mark.parametrize(
    ("spec", "field", "reason", "words"),
    [
        ({"size": "large"}, "spec.size", "FieldValueTypeInvalid", "must be of type integer"),
        ({"size": 0}, "spec.size", "FieldValueInvalid", "should be greater than or equal to 1"),
        ({"size": 101}, "spec.size", "FieldValueInvalid", "should be less than or equal to 100"),
        ({"size": None}, "spec.size", "FieldValueRequired", "Required value"),
        ({"colour": "blue"}, "spec.colour", "FieldValueNotSupported", 'supported values: "", "red", "pink"'),
        ({"note": "x" * 4001}, "spec.note", "FieldValueTooLong", "Too long: may not be "),
        ({"code": "UPPER"}, "spec.code", "FieldValueInvalid", "should match '^[a-z]*$'"),
        ({"tags": list("abcd")}, "spec.tags", "FieldValueTooMany", "Too many: 4: must have at most 3 items"),
        ({"tags": ["a", "a"]}, "spec.tags[1]", "FieldValueDuplicate", 'Duplicate value: "a"'),
        ({"parts": [{"count": 1}]}, "spec.parts[0].name", "FieldValueRequired", "Required value"),
        ({"parts": [{"name": "p"}, {"name": "p"}]}, "spec.parts[1]", "FieldValueDuplicate", '"name":"p"'),
        ({"marks": {"a": 1}}, "spec.marks.a", "FieldValueTypeInvalid", "must be of type string"),
        ({"colour": "pink", "size": 50}, "spec", "FieldValueInvalid", "pink widgets are small"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: KubeHttp, namespace: str, spec: dict[str, Any], field: str, reason: str, words: str
) -> None:
    status = refused(http.post(collection(namespace), widget("a", **spec)), 422, "Invalid")
    causes = {cause["field"]: cause for cause in status["details"]["causes"]}
    assert field in causes, causes
    assert causes[field]["reason"] == reason
    assert words in causes[field]["message"]
    assert status["message"].startswith('Widget.testing.dspy-service.io "a" is invalid: ')


@pytest.mark.parametrize("port", [80, "http"])
def test_int_or_string(http: KubeHttp, namespace: str, port: int | str) -> None:
    assert ok(http.post(collection(namespace), widget("a", port=port)))["spec"]["port"] == port


def test_int_or_string_is_nothing_else(http: KubeHttp, namespace: str) -> None:
    refused(http.post(collection(namespace), widget("a", port=[80])), 422, "Invalid")


def test_transition_rules_compare_with_the_old_object(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.post(collection(namespace), widget("a")))
    status = refused(http.patch(path, {"spec": {"size": 2}}), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "spec"
    assert "size is immutable" in status["message"]
    ok(http.patch(path, {"spec": {"note": "changed"}}))


def test_the_status_is_validated_and_pruned(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a/status"
    ok(http.post(collection(namespace), widget("a")))
    refused(http.patch(path, {"status": {"phase": 3}}), 422, "Invalid")
    twice = [{"type": "Ready", "status": "True"}, {"type": "Ready", "status": "False"}]
    refused(http.patch(path, {"status": {"conditions": twice}}), 422, "Invalid")
    patched = ok(http.patch(path, {"status": {"phase": "x", "unknown": 1, "run": {"any": [1.5]}}}))
    assert patched["status"] == {"phase": "x", "run": {"any": [1.5]}}
