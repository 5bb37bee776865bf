from datetime import UTC, datetime, timedelta
from pathlib import Path

from dspy_service_core.kube.resources import EVENTS
from dspy_service_local.apiserver import Cluster
from waiting import until


async def test_events_are_kept_for_an_hour(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    cluster = await Cluster.open(tmp_path, clock=lambda: now)
    for number in range(250):
        seen = now if number % 2 else now - timedelta(hours=2)
        body = {
            "metadata": {"generateName": "event-"},
            "involvedObject": {"name": "x", "namespace": "default"},
            "reason": "Tested" if number % 2 else "Old",
            "lastTimestamp": seen.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        await cluster.client.create(EVENTS, body, "default")
    await cluster.close()
    again = await Cluster.open(tmp_path, clock=lambda: now)

    async def reasons() -> list[str]:
        return [event["reason"] for event in (await again.client.list(EVENTS, "default")).items]

    async def expired() -> bool:
        return "Old" not in await reasons()

    await until(expired)
    assert await reasons() == ["Tested"] * 125
    await again.close()
