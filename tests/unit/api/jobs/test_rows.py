"""GET /jobs/{id}/rows: pages and filters over what the run kept, and what is answered where it kept nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from obstore.store import LocalStore

from api_service import Harness, failed, put_artifact, running, succeeded
from declared_answers import held_to
from dspy_service_api.jobs.record import JobRecord
from dspy_service_api.jobs.rows import RowPages
from dspy_service_core.errors import StoreError
from dspy_service_core.resource import names
from dspy_service_core.storage.store import Store, artifact_folder

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"


def answer(n: int, score: float | None) -> dict[str, Any]:
    if score is None:
        return {"prediction": None, "score": None, "error": "it broke"}
    return {"prediction": {"y": n}, "score": score, "error": None}


def line(n: int, before: float | None, after: float | None, **more: Any) -> dict[str, Any]:
    outcome = "won" if (after or 0) > (before or 0) else "lost" if (after or 0) < (before or 0) else "tied"
    sides = {"baseline": answer(n, before), "optimized": answer(n, after)}
    return {"n": n, "outcome": outcome, "inputs": {"x": n}, "gold": {"y": n}, **sides, **more}


LINES = [line(0, 0.0, 1.0), line(3, 1.0, 0.0), line(4, 1.0, 1.0), line(9, None, 1.0), line(12, None, None)]


def content(lines: list[Any]) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in lines)


async def answered(api: Harness, query: str = "", rows: bytes | None = None, **result: Any) -> Any:
    job = await api.job(names.api_job(ID), succeeded(job_id=ID, **result))
    put_artifact(api.store, job, contents={"rows.jsonl": content(LINES) if rows is None else rows})
    response = await api.client.get(f"/jobs/{ID}/rows{query}")
    assert response.status_code == 200, response.text
    held_to("ScoredRows", response.json())
    return response.json()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 3, 4, 9, 12]),
        ("?which=all", [0, 3, 4, 9, 12]),
        ("?which=won", [0, 9]),
        ("?which=lost", [3]),
        ("?which=tied", [4, 12]),
        ("?which=changed", [0, 3, 9]),
        ("?which=failed", [9, 12]),
        ("?limit=2", [0, 3]),
        ("?after=0&limit=2", [3, 4]),
        ("?after=3", [4, 9, 12]),
        ("?after=12", []),
        ("?which=won&after=0", [9]),
    ],
)
async def test_pages_and_filters(api: Harness, query: str, expected: list[int]) -> None:
    assert [row["n"] for row in await answered(api, query)] == expected


async def test_a_row_is_answered_whole(api: Harness) -> None:
    assert (await answered(api, "?which=lost"))[0] == LINES[1]


@pytest.mark.parametrize(
    ("query", "expected"), [("", [0, 3]), ("?which=failed", [3]), ("?which=won", []), ("?which=changed", [])]
)
async def test_rows_of_a_job_that_only_scored_its_program(api: Harness, query: str, expected: list[int]) -> None:
    alone = {"outcome": None, "optimized": None}
    lines = [line(0, 1.0, None) | alone, line(3, None, None) | alone]
    found = await answered(api, query, rows=content(lines))
    assert found == [each for each in lines if each["n"] in expected]


@pytest.mark.parametrize("query", ["?which=best", "?after=-1", "?limit=0", "?limit=5001", "?after=x"])
async def test_a_query_of_another_kind_is_refused(api: Harness, query: str) -> None:
    response = await api.client.get(f"/jobs/{ID}/rows{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xff\xfe{}",
        b'{"n": 1',
        content([[], 1, None, "x", {}, {"n": "1", "outcome": "won"}, {"n": 1, "outcome": "best"}, {"n": -1}]),
        b'{"n":1,"outcome":"won","inputs":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
    ],
)
async def test_lines_of_no_row_are_left_out(api: Harness, broken: bytes) -> None:
    found = await answered(api, rows=broken + b"\n" + content(LINES[:1]))
    assert found[-1] == LINES[0]
    assert len(found) <= 2


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {"prediction": [], "score": "x", "error": {}}])
@pytest.mark.parametrize("name", ["inputs", "gold", "baseline", "optimized"])
async def test_a_row_has_its_shape_whatever_the_jobs_code_wrote(api: Harness, name: str, value: Any) -> None:
    found = await answered(api, rows=content([LINES[0] | {name: value}]))
    assert [row["n"] for row in found] == [0]


class CountedStore(Store):
    """Counts the bytes that are read of row files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore(folder), folder)
        self.read = 0

    async def get_async(self, key: str) -> bytes:
        return self._counted(key, await super().get_async(key))

    async def ranges_async(self, key: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self._counted(key, part) for part in await super().ranges_async(key, spans)]

    def _counted(self, key: str, content: bytes) -> bytes:
        self.read += len(content) if key.endswith("rows.jsonl") else 0
        return content


MANY = [line(n, n % 2, n % 3 % 2, padding="x" * 100) for n in range(1000)]


async def kept(api: Harness, lines: list[Any]) -> tuple[JobRecord, int]:
    job = await api.job(names.api_job(ID), succeeded(job_id=ID))
    put_artifact(api.store, job, contents={"rows.jsonl": content(lines)})
    return await api.service.jobs.find(ID), len(content(lines))


async def test_a_page_costs_a_page(api: Harness) -> None:
    record, size = await kept(api, MANY)
    store = CountedStore(api.folder)
    pages = RowPages(store)
    seen = [row.n for row in await pages.read(record, "all", None, 100)]
    assert store.read == size, "to compare it with its digest"
    while page := await pages.read(record, "all", seen[-1], 100):
        assert len(page) == 100
        seen += [row.n for row in page]
        assert store.read - size <= size * (len(seen) - 100) / 1000 + 1000
    assert seen == list(range(1000))
    before = store.read
    lost = await pages.read(record, "lost", 500, 5)
    assert [row.n for row in lost] == [row["n"] for row in MANY[501:] if row["outcome"] == "lost"][:5]
    assert store.read - before < 6 * size / 1000


@pytest.mark.parametrize("which", ["all", "won", "lost", "tied", "changed", "failed"])
async def test_a_later_page_answers_as_a_first_one(api: Harness, which: Any) -> None:
    record, _ = await kept(api, LINES)
    pages = RowPages(api.store)
    for after in (None, 0, 3, 4, 9, 12):
        for limit in (1, 2, 100):
            first = await RowPages(api.store).read(record, which, after, limit)
            assert await pages.read(record, which, after, limit) == first


async def test_a_file_that_changed_is_compared_with_its_digest_again(api: Harness) -> None:
    record, _ = await kept(api, LINES)
    pages = RowPages(api.store)
    await pages.read(record, "all", None, 1)
    key = f"{artifact_folder('default', ID)}/rows.jsonl"
    api.store.put(key, content([{**each, "gold": {"y": -1}} for each in LINES]))
    with pytest.raises(StoreError, match="not what its manifest says"):
        await pages.read(record, "all", None, 1)
    api.store.delete(key)
    with pytest.raises(StoreError, match="not whole"):
        await pages.read(record, "all", None, 1)


async def test_a_running_job_has_no_rows_yet(api: Harness) -> None:
    await api.job(names.api_job(ID), running())
    response = await api.client.get(f"/jobs/{ID}/rows")
    assert (response.status_code, response.json()["code"]) == (409, "not_finished")


async def test_a_job_that_kept_no_rows_says_so(api: Harness) -> None:
    job = await api.job(names.api_job(ID), succeeded(job_id=ID))
    put_artifact(api.store, job)
    response = await api.client.get(f"/jobs/{ID}/rows")
    assert (response.status_code, response.json()["code"]) == (404, "no_artifact")
    assert response.json()["detail"] == "Job kept no results of its test rows."


async def test_a_failed_job_has_no_rows(api: Harness) -> None:
    await api.job(names.api_job(ID), failed("it broke"))
    response = await api.client.get(f"/jobs/{ID}/rows")
    assert (response.status_code, response.json()["code"]) == (404, "no_artifact")


async def test_an_unknown_job_has_none(api: Harness) -> None:
    response = await api.client.get(f"/jobs/{ID}/rows")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_job")


COMPARISON = {
    "difference": "2.5",
    "interval": ["-10", "15"],
    "confidence": "0.95",
    "method": "student_t_two_pseudo_rows",
    "rows": 4,
    "won": 1,
    "lost": 0,
    "tied": 3,
    "failedRows": 0,
}


async def test_a_job_that_demanded_more_keeps_scores_comparison_rows_and_artifact(api: Harness) -> None:
    end = {"outcome": "Failed", "reason": "NoImprovement", "verdict": "no_evidence", "comparison": COMPARISON}
    status = succeeded(job_id=ID, **end) | {"phase": "Failed", "message": "No evidence of a difference"}
    job = await api.job(names.api_job(ID), status)
    put_artifact(api.store, job, contents={"rows.jsonl": content(LINES)})
    api.store.put(f"default/jobs/{ID}/result.json", json.dumps({"outcome": "Failed", "details": {}}).encode())
    summary = (await api.client.get(f"/jobs/{ID}/summary")).json()
    assert (summary["status"], summary["verdict"]) == ("failed", "no_evidence")
    assert len((await api.client.get(f"/jobs/{ID}/rows")).json()) == len(LINES)
    assert (await api.client.get(f"/jobs/{ID}/artifact")).status_code == 200
    result = (await api.client.get(f"/jobs/{ID}")).json()["result"]
    assert (result["baseline_test_metric"], result["optimized_test_metric"]) == (50.0, 75.0)
    assert result["details"]["verdict"] == "no_evidence"
    assert result["details"]["comparison"] == {
        "difference": 2.5,
        "interval": [-10.0, 15.0],
        "confidence": 0.95,
        "method": "student_t_two_pseudo_rows",
        "rows": 4,
        "won": 1,
        "lost": 0,
        "tied": 3,
        "failed_rows": 0,
    }
    assert result["program_artifact"]["program_state"] == {"predict": {"demos": []}}


async def test_any_other_failure_keeps_none_of_them(api: Harness) -> None:
    status = succeeded(job_id=ID, outcome="Failed", reason="MetricFailed", artifact=None) | {
        "phase": "Failed",
        "message": "m",
    }
    job = await api.job(names.api_job(ID), status)
    put_artifact(api.store, job)
    assert (await api.client.get(f"/jobs/{ID}/artifact")).status_code == 404
