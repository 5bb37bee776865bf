"""What people type for a job, and which one it is."""

import httpx
import pytest

from dspy_service import AmbiguousJob, AsyncClient, Client, UnknownJob
from dspy_service.typed_ids import SHORT, short_ids
from fake_service import FakeService

FIRST = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
SECOND = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a11"
OTHER = "cafe6b6e-8a0e-4a59-9a38-6b4c6f1d2a12"


@pytest.fixture
def service() -> FakeService:
    service = FakeService()
    service.add("success", job_id=FIRST, name="tickets")
    service.add("running", job_id=SECOND, name="tickets")
    service.add("running", job_id=OTHER)
    service.add("running", job_id="nightly", name="nightly")
    service.add("running", job_id="nightly-2", name="nightly-2")
    service.add("running", job_id="cafe-2", name="cafe-2")
    return service


def client_of(service: FakeService) -> Client:
    return Client("http://service", transport=service.transport, sleep=service.sleep)


def paths(service: FakeService) -> list[str]:
    return [f"{request.method} {request.url.path}" for request in service.requests]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (FIRST, FIRST),
        ("4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"[:-1] + "0", FIRST),
        ("tickets", SECOND),  # the newest of the name
        ("cafe", OTHER),  # the beginning of a UUID, and of no name
        ("cafe6b6e-", OTHER),
        (OTHER[:-1], OTHER),
        ("nightly", "nightly"),  # and never nightly-2
        (f"job-{FIRST}", f"job-{FIRST}"),
        ("caf", "caf"),  # too short to begin an id
        ("nightl", "nightl"),
        ("cafe6b6f", "cafe6b6f"),
        ("../health", "../health"),
        ("Tickets", "Tickets"),
        ("", ""),
    ],
)
def test_what_is_typed_is_one_job_or_left_to_the_service(service: FakeService, typed: str, meant: str) -> None:
    assert client_of(service).resolve(typed) == meant


def test_a_uuid_is_looked_up_nowhere(service: FakeService) -> None:
    client_of(service).summary(FIRST)
    assert (service.looked_for, paths(service)) == ([], [f"GET /jobs/{FIRST}/summary"])


def test_the_beginning_of_several_ids_is_refused_with_what_can_be_typed(service: FakeService) -> None:
    for ask in ("summary", "job", "artifact", "cancel", "stop", "pause", "resume", "delete"):
        with pytest.raises(AmbiguousJob) as raised:
            getattr(client_of(service), ask)("4f0c6b6e")
        assert sorted(raised.value.matches) == [FIRST, SECOND]
        assert FIRST in str(raised.value)
        assert SECOND in str(raised.value)
    assert {request.method for request in service.requests} == {"GET"}
    assert len(service.jobs) == 6


def test_a_name_that_is_the_beginning_of_an_id_too_is_the_name(service: FakeService) -> None:
    service.add("running", job_id="cafe", name="cafe")
    client_of(service).delete("cafe")
    assert OTHER in service.jobs
    assert "cafe" not in service.jobs


def test_a_name_that_several_have_had_is_not_deleted(service: FakeService) -> None:
    with pytest.raises(AmbiguousJob, match=f"(?s){SECOND}.*{FIRST}"):
        client_of(service).delete("tickets")
    assert client_of(service).cancel("tickets").job_id == SECOND
    client_of(service).delete(SECOND)
    client_of(service).delete("tickets")
    assert FIRST not in service.jobs


def test_an_exact_id_is_deleted_whoever_is_called_so_besides(service: FakeService) -> None:
    service.add("success", job_id=FIRST.replace("4", "5"), name="nightly")
    client_of(service).delete("nightly")
    assert "nightly" not in service.jobs


def test_all_pages_are_looked_through(service: FakeService) -> None:
    for number in range(30):
        service.add("success", job_id=f"{number:08x}-0000-4000-8000-000000000000")
    service.add("success", job_id="fffffff0-0000-4000-8000-000000000000")
    assert client_of(service).resolve("ffff").startswith("fffffff0")
    assert len(service.requests) > 15


def test_of_very_many_some_are_told(service: FakeService) -> None:
    for number in range(100):
        service.add("success", job_id=f"ffff{number:04x}-0000-4000-8000-000000000000")
    with pytest.raises(AmbiguousJob, match="and more") as raised:
        client_of(service).resolve("ffff")
    assert len(raised.value.matches) == 10


def test_what_nobody_knows_is_unknown(service: FakeService) -> None:
    for typed in ("nobody", "ffff", "..", "x/y"):
        with pytest.raises(UnknownJob):
            client_of(service).summary(typed)


def test_a_job_that_is_deleted_in_between_is_unknown(service: FakeService) -> None:
    client = client_of(service)
    job_id = client.resolve("tickets")
    del service.jobs[SECOND]
    with pytest.raises(UnknownJob):
        client.cancel(job_id)
    assert service.jobs[FIRST].status == "success"


def test_it_is_looked_for_once_and_the_name_may_go_to_another_meanwhile(service: FakeService) -> None:
    service.jobs[SECOND].statuses = ["running", "running", "success"]
    seen = []
    for update in client_of(service).watch("tickets"):
        service.add("running", job_id=FIRST.replace("4", "5"), name="tickets")
        seen.append(update.summary.job_id)
    assert set(seen) == {SECOND}
    assert service.looked_for == ["tickets"]
    assert all(path.startswith(f"GET /jobs/{SECOND}") for path in paths(service))


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(403, json={"detail": "may not list", "code": "forbidden"}),
        httpx.Response(422, json={"error": "invalid_request", "detail": [{"field": "name", "message": "not yet"}]}),
    ],
)
def test_who_may_not_list_can_name_a_job_exactly(service: FakeService, refusal: httpx.Response) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return refusal if request.url.path == "/jobs" else service.transport.handle_request(request)

    with Client("http://service", transport=httpx.MockTransport(handle)) as client:
        assert client.cancel("nightly").job_id == "nightly"
        with pytest.raises(UnknownJob):
            client.cancel("tickets")


def test_an_older_service_that_knows_no_names_answers_all_jobs(service: FakeService) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jobs":
            return httpx.Response(200, json={"jobs": [service.jobs[OTHER].summary()], "next_cursor": None})
        return service.transport.handle_request(request)

    with Client("http://service", transport=httpx.MockTransport(handle)) as client, pytest.raises(UnknownJob):
        client.delete("nobody")
    assert len(service.jobs) == 6


async def test_the_asynchronous_client_does_the_same(service: FakeService) -> None:
    async with AsyncClient("http://service", transport=service.transport) as client:
        assert (await client.summary("tickets")).job_id == SECOND
        assert (await client.pause("cafe")).job_id == OTHER
        assert [entry async for entry in client.logs("tickets")] == []
        for ask in (client.stop, client.delete):
            with pytest.raises(AmbiguousJob):
                await ask("4f0c")


def test_what_lists_show_is_the_beginning_of_one_id() -> None:
    ids = [FIRST, SECOND, OTHER, "nightly", "nightly-2"]
    shown = short_ids(ids)
    assert shown == [FIRST, SECOND, OTHER[:SHORT], "nightly", "nightly-2"]
