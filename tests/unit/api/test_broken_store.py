"""A store that lost or broke something: nothing half-written is served as if it were whole."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api_service import (
    Harness,
    api_service,
    entries,
    events,
    failed,
    put_artifact,
    put_result,
    put_segment,
    running,
    succeeded,
)
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource import names
from simple_acceptance import SimpleAcceptance

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
JOB = f"default/jobs/{ID}"
ARTIFACT = f"default/artifacts/{ID}"
ALL = {"", "/logs", "/events", "/artifact"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    """No answer is held: each is made of what the store holds by then."""
    async with api_service(tmp_path, SimpleAcceptance(), answer_cache_bytes=0) as harness:
        yield harness


@pytest.fixture
async def job(api: Harness) -> Object:
    """Succeeded; 30 log lines in two segments, 4 events."""
    made = await api.job(names.api_job(ID), succeeded(30, 4, job_id=ID))
    put_segment(api.store, made, "logs", entries(30)[:20])
    put_segment(api.store, made, "logs", entries(30)[20:], first=21)
    put_segment(api.store, made, "events", events(4))
    put_result(api.store, made)
    put_artifact(api.store, made)
    return made


def lose(key: str) -> Any:
    return lambda api: api.folder.joinpath(key).unlink()


def write(key: str, content: bytes) -> Any:
    return lambda api: api.store.put(key, content)


def cut(key: str, size: int) -> Any:
    return lambda api: api.store.put(key, api.store.get(key)[:-size])


@pytest.mark.parametrize(
    ("damage", "refused"),
    [
        pytest.param(lambda api: None, set(), id="nothing"),
        pytest.param(lose(f"{JOB}/logs/0000000001.jsonl"), {"", "/logs"}, id="first segment lost"),
        pytest.param(lose(f"{JOB}/logs/0000000021.jsonl"), {"", "/logs"}, id="last segment lost"),
        pytest.param(cut(f"{JOB}/logs/0000000001.jsonl", 10), {"", "/logs"}, id="first segment cut"),
        pytest.param(cut(f"{JOB}/logs/0000000021.jsonl", 10), {"", "/logs"}, id="last segment cut"),
        pytest.param(
            write(f"{JOB}/logs/0000000021.jsonl", b'{"first":21,"attempt":1,"to":0,"count":10}\n' + b"no json\n" * 10),
            {"", "/logs"},
            id="segment of something else",
        ),
        pytest.param(write(f"{JOB}/logs/0000000021.jsonl", b"\x00\xff"), {"", "/logs"}, id="segment of noise"),
        pytest.param(lose(f"{JOB}/events/0000000001.jsonl"), {"", "/events"}, id="events lost"),
        pytest.param(lose(f"{JOB}/result.json"), {""}, id="result lost"),
        pytest.param(write(f"{JOB}/result.json", b"{"), {""}, id="result cut"),
        pytest.param(write(f"{JOB}/result.json", b"[]"), {""}, id="result of another shape"),
        pytest.param(lose(f"{ARTIFACT}/manifest.json"), {"", "/artifact"}, id="manifest lost"),
        pytest.param(write(f"{ARTIFACT}/manifest.json", b"{}"), {"", "/artifact"}, id="manifest empty"),
        pytest.param(write(f"{ARTIFACT}/manifest.json", b'{"files":{}}'), {"", "/artifact"}, id="manifest of nothing"),
        pytest.param(lose(f"{ARTIFACT}/program.pkl"), {"", "/artifact"}, id="pickle lost"),
        pytest.param(write(f"{ARTIFACT}/program.pkl", b"cos\nsystem\n"), {"", "/artifact"}, id="pickle replaced"),
        pytest.param(write(f"{ARTIFACT}/metadata.json", b"{"), {"", "/artifact"}, id="metadata cut"),
        pytest.param(lambda api: api.store.delete_folder("default"), ALL, id="all lost"),
    ],
)
async def test_what_is_not_whole_is_refused_and_the_rest_served(
    api: Harness, job: Object, damage: Any, refused: set[str]
) -> None:
    damage(api)
    for path in sorted(ALL):
        response = await api.client.get(f"/jobs/{ID}{path}")
        assert response.status_code == (503 if path in refused else 200), (path, response.text)
        if path in refused:
            assert "store" in response.json()["detail"]
            assert int(response.headers["retry-after"]) > 0
    assert (await api.client.get(f"/jobs/{ID}/summary")).status_code == 200


async def test_pages_before_the_damage_are_served(api: Harness, job: Object) -> None:
    lose(f"{JOB}/logs/0000000021.jsonl")(api)
    assert len((await api.client.get(f"/jobs/{ID}/logs?after=0&limit=10")).json()) == 10
    assert (await api.client.get(f"/jobs/{ID}/logs?after=15&limit=10")).status_code == 503


async def test_a_repaired_store_is_served_again(api: Harness, job: Object) -> None:
    lose(f"{JOB}/result.json")(api)
    assert (await api.client.get(f"/jobs/{ID}")).status_code == 503
    put_result(api.store, job)
    assert (await api.client.get(f"/jobs/{ID}")).status_code == 200


async def test_a_run_that_died_shows_what_it_left(api: Harness) -> None:
    """Its last words may have reached neither the store nor the status."""
    died = await api.job("tickets", failed("The runner vanished.", run=running(45)["run"]))
    put_segment(api.store, died, "logs", entries(20))
    detail = (await api.client.get("/jobs/tickets")).json()
    assert detail["message"] == "The runner vanished."
    assert len(detail["logs"]) == len(detail["result"]["run_log"]) == 20


async def test_a_segment_that_is_being_written_shows_what_is_whole(api: Harness) -> None:
    job = await api.job("tickets", running(0))
    put_segment(api.store, job, "logs", entries(5))
    key = f"default/jobs/{job['metadata']['uid']}/logs/0000000001.jsonl"
    api.store.put(key, api.store.get(key)[:-10])
    response = await api.client.get("/jobs/tickets/logs")
    assert response.status_code in (200, 503)
    if response.status_code == 200:
        assert len(response.json()) == 4


async def test_the_store_itself_is_away(api: Harness, job: Object) -> None:
    api.store.delete_folder("default")
    api.folder.rmdir()
    api.folder.write_text("not a folder")
    for path in ALL:
        response = await api.client.get(f"/jobs/{ID}{path}")
        assert response.status_code == 503
        assert "/tmp" not in response.text
