import httpx
import pytest

from api_service import Harness


@pytest.mark.parametrize(
    ("method", "url", "name"),
    [
        ("GET", "/jobs/{job_id}/artifact?best=true", "best"),
    ],
)
async def test_what_is_not_built_is_refused_by_name(api: Harness, method: str, url: str, name: str) -> None:
    await api.job("tickets")
    answer: httpx.Response = await api.client.request(method, url.format(job_id="tickets"), content=b"{}")
    assert answer.status_code == 422, answer.text
    ((problem),) = answer.json()["detail"]
    assert (problem["field"], problem["type"]) == (name, "not_built")


async def test_what_nobody_knows_is_ignored_as_ever(api: Harness) -> None:
    assert (await api.client.get("/jobs?names=nightly")).status_code == 200
