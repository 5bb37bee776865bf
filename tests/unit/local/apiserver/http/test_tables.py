from datetime import UTC, datetime
from typing import Any

import pytest

from dspy_service_local.apiserver.http import jsonpath
from dspy_service_local.apiserver.http.tables import cell, human_duration
from dspy_service_local.apiserver.kinds.kinds import Column

_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_OBJECT: dict[str, Any] = {
    "metadata": {"creationTimestamp": "2026-01-01T23:59:30Z", "annotations": {"example.com/a": "x"}},
    "spec": {"n": 3, "list": [{"name": "a", "v": 1}, {"name": "b", "v": 2}], "on": True, "share": 0.5},
}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (8 * 3600, "8h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_are_written_as_kubectl_knows_them(seconds: int, expected: str) -> None:
    assert human_duration(seconds) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.n", 3),
        ("{.spec.n}", 3),
        ("spec.n", 3),
        ("$.spec.n", 3),
        (".spec.list[1].name", "b"),
        (".spec.list[-1].name", "b"),
        (".spec.list[9].name", None),
        (".spec.list[*].v", 1),
        ('.spec.list[?(@.name=="b")].v', 2),
        (".spec.list[?(@.name == 'c')].v", None),
        (".metadata.annotations['example.com/a']", "x"),
        (r".metadata.annotations.example\.com/a", None),
        (".spec.nothing.below", None),
        (".spec[", None),
    ],
)
def test_paths(path: str, expected: object) -> None:
    assert jsonpath.find(path, _OBJECT) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("A", ".metadata.creationTimestamp", type="date"), "30s"),
        (Column("A", ".spec.none", type="date"), "<unknown>"),
        (Column("A", ".spec.on", type="date"), "<unknown>"),
        (Column("A", ".metadata.annotations['example.com/a']", type="date"), "<unknown>"),
        (Column("A", ".spec.n", type="integer"), 3),
        (Column("A", ".spec.share", type="integer"), 0),
        (Column("A", ".spec.share", type="number"), 0.5),
        (Column("A", ".spec.on", type="boolean"), True),
        (Column("A", ".spec.on"), "true"),
        (Column("A", ".spec.list"), '[{"name":"a","v":1},{"name":"b","v":2}]'),
        (Column("A", ".spec.none"), None),
        (Column("A", lambda obj: len(obj["spec"])), "4"),
    ],
)
def test_cells(column: Column, expected: object) -> None:
    assert cell(column, _OBJECT, _NOW) == expected
