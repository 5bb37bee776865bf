from typing import Any

import pytest

from dspy_service_core.kube.errors import BadRequest, Invalid
from dspy_service_local.apiserver.objects.patches import json_patch, merge, strategic


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "x"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_merge(target: Any, patch: Any, expected: Any) -> None:
    before = repr(target)
    assert merge(target, patch) == expected
    assert repr(target) == before


def test_merge_shares_what_it_leaves() -> None:
    target = {"spec": {"rows": [1]}, "status": {}}
    assert merge(target, {"status": {"x": 1}})["spec"] is target["spec"]


def test_json_patch_leaves_its_target() -> None:
    target = {"a": [1]}
    assert json_patch(target, [{"op": "add", "path": "/a/-", "value": 2}]) == {"a": [1, 2]}
    assert target == {"a": [1]}


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ({"op": "add"}, BadRequest),
        ([{"op": "test", "path": "/a", "value": 2}], Invalid),
        ([{"op": "remove", "path": "/none"}], Invalid),
        ([{"op": "dance", "path": "/a"}], Invalid),
        ([{"path": "/a"}], Invalid),
        ([{"op": "replace", "path": "", "value": 3}], BadRequest),
        (["text"], Invalid),
    ],
)
def test_json_patches_that_cannot_be_applied(operations: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_patch({"a": 1}, operations)


_CONTAINERS = [{"name": "a", "image": "1", "env": [{"name": "X", "value": "x"}]}, {"name": "b"}]


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        (
            {"containers": _CONTAINERS},
            {"containers": [{"name": "a", "image": "2"}]},
            {"containers": [_CONTAINERS[0] | {"image": "2"}, {"name": "b"}]},
        ),
        (
            {"containers": _CONTAINERS},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
        ),
        (
            {"containers": _CONTAINERS},
            {"containers": [{"$patch": "replace"}, {"name": "z"}]},
            {"containers": [{"name": "z"}]},
        ),
        (
            {"containers": _CONTAINERS},
            {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "3"}],
            },
            {"containers": [{"name": "b", "image": "3"}, _CONTAINERS[0]]},
        ),
        ({"args": ["x"]}, {"args": ["y"]}, {"args": ["y"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}),
        (
            {"strategy": {"type": "A", "x": 1}},
            {"strategy": {"$retainKeys": ["type"], "type": "B"}},
            {"strategy": {"type": "B"}},
        ),
        ({"data": {"a": "1"}}, {"data": {"a": None, "b": "2"}}, {"data": {"b": "2"}}),
        ({"data": {"a": "1"}}, {"data": {"$patch": "replace", "b": "2"}}, {"data": {"b": "2"}}),
    ],
)
def test_strategic(target: Any, patch: Any, expected: Any) -> None:
    before = repr(target)
    assert strategic(target, patch) == expected
    assert repr(target) == before
