"""ETag and If-None-Match: who has the answer already is told so, and nobody is told so of another answer."""

from typing import Any

import httpx
import pytest

from api_service import Harness, entries, put_artifact, put_result, put_segment, running, succeeded
from dspy_service_core.resource import names

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
TAGGED = ("", "/summary", "/artifact")


async def ask(api: Harness, path: str = "", **headers: str) -> httpx.Response:
    return await api.client.get(f"/jobs/{ID}{path}", headers={k.replace("_", "-"): v for k, v in headers.items()})


async def finished(api: Harness, message: str = "") -> None:
    job = await api.job(names.api_job(ID), succeeded(5, job_id=ID, message=message))
    put_segment(api.store, job, "logs", entries(5))
    put_result(api.store, job)
    put_artifact(api.store, job)


@pytest.mark.parametrize("path", TAGGED)
async def test_who_has_the_answer_is_told_so_in_no_words(api: Harness, path: str) -> None:
    await finished(api)
    first = await ask(api, path)
    assert first.status_code == 200
    for etag in (first.headers["etag"], (await ask(api, path)).headers["etag"]):  # made, and held
        again = await ask(api, path, if_none_match=etag)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag == first.headers["etag"]
        assert again.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in again.headers
        assert again.headers.get("content-length", "0") == "0"


async def test_every_answer_has_a_tag_of_its_own(api: Harness) -> None:
    await finished(api)
    tags = [(await ask(api, path)).headers["etag"] for path in TAGGED]
    assert len(set(tags)) == len(TAGGED)
    for tag in tags:
        assert tag[0] == tag[-1] == '"'  # strong: the same bytes


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ('"other", {etag}', 304),
        ('W/"other" , W/{etag},"third"', 304),
        ('"a,b",{etag}', 304),
        ("*", 304),
        (" * ", 304),
        ('"other"', 200),
        ('"*"', 200),
        ("", 200),
        ('"', 200),
        ("{bare}", 200),
        ('"x{bare}"', 200),
        ('"never, {bare}, closed', 200),
    ],
)
async def test_tags_are_compared_one_by_one_and_weakly(api: Harness, form: str, code: int) -> None:
    await finished(api)
    etag = (await ask(api)).headers["etag"]
    given = form.format(etag=etag, bare=etag.strip('"'))
    assert (await ask(api, if_none_match=given)).status_code == code


async def test_a_header_sent_twice_is_one_list(api: Harness) -> None:
    await finished(api)
    etag = (await ask(api)).headers["etag"]
    response = await api.client.get(f"/jobs/{ID}", headers=[("If-None-Match", etag), ("If-None-Match", '"other"')])
    assert response.status_code == 304


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"run": {"message": "optimizer_progress"}}},
        {"status": {"run": {"metrics": {"baseline_test_metric": 51.0}}}},
        {"status": succeeded(1, job_id=ID)},
    ],
)
@pytest.mark.parametrize("path", ["", "/summary"])
async def test_a_running_jobs_answer_has_a_tag_until_it_changes(api: Harness, path: str, change: Any) -> None:
    job = await api.job(names.api_job(ID), running())
    put_result(api.store, job)
    put_artifact(api.store, job)
    put_segment(api.store, job, "logs", entries(1))
    etag = (await ask(api, path)).headers["etag"]
    assert (await ask(api, path, if_none_match=etag)).status_code == 304
    await api.update(names.api_job(ID), change)
    changed = await ask(api, path, if_none_match=etag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_what_the_store_alone_knows_changes_the_tag(api: Harness) -> None:
    """The resource is the same version as before."""
    job = await api.job(names.api_job(ID), running())
    etag = (await ask(api)).headers["etag"]
    put_segment(api.store, job, "logs", entries(3))
    assert (await ask(api, if_none_match=etag)).status_code == 200


async def test_another_jobs_end_changes_the_tag_of_one_that_waits(api: Harness) -> None:
    await api.job("first", run={"priority": 5})
    await api.job(names.api_job(ID))
    etag = (await ask(api, "/summary")).headers["etag"]
    await api.update("first", {"status": {"phase": "Running"}})
    moved = await ask(api, "/summary", if_none_match=etag)
    assert moved.status_code == 200
    assert moved.json()["message"] == "Waiting to start, at position 1 of the queue."


async def test_no_tag_stands_for_what_is_not_there(api: Harness) -> None:
    assert (await ask(api, if_none_match="*")).status_code == 404
    await api.job(names.api_job(ID), running())
    refused = await ask(api, "/artifact", if_none_match="*")
    assert refused.status_code == 409
    assert "etag" not in refused.headers


async def test_the_document_tells_of_tags_where_there_are_some(api: Harness) -> None:
    paths = (await api.client.get("/openapi.json")).json()["paths"]
    told = {path for path, item in paths.items() if "304" in item.get("get", {}).get("responses", {})}
    assert told == {f"/jobs/{{job_id}}{path}" for path in TAGGED}
    for path in told:
        operation = paths[path]["get"]
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert "content" not in operation["responses"]["304"]
        further = ["best"] if path.endswith("/artifact") else []
        assert [p["name"] for p in operation["parameters"]] == ["job_id", "If-None-Match", *further]
