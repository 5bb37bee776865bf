"""The API's process under the chart's memory limit: whatever body comes, twice at once and of the largest size."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from declared_answers import HELD_ASYNC
from dspy_service_api.settings import Settings
from embedded_cluster import cluster_in_thread
from heavy_bodies import SHAPES
from whole_service import STOP_SECONDS, await_port, free_port

LARGEST = Settings().body_limit_bytes - 10_000
VALUES = Path(__file__).parents[2] / "charts" / "dspy-service" / "values.yaml"


def limit_bytes() -> int:
    limit = yaml.safe_load(VALUES.read_text())["api"]["resources"]["limits"]["memory"]
    return int(limit.removesuffix("Mi")) * 2**20


@dataclass(frozen=True)
class Api:
    url: str
    process: psutil.Process

    def peak_bytes(self) -> int:
        """Resident memory at its highest, anonymous pages and mapped files together: more than a cgroup counts."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One process for all shapes, so that what one of them leaves behind counts for the next."""
    with (
        cluster_in_thread(tmp_path_factory.mktemp("cluster")) as cluster,
        api(cluster.kubeconfig, tmp_path_factory.mktemp("store")) as started,
    ):
        yield started


@contextmanager
def api(kubeconfig: Path, folder: Path) -> Iterator[Api]:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    given = {"PORT": str(port), "STORE_URL": folder.as_uri(), "LOG_LEVEL": "WARNING"}
    env = kept | {"KUBECONFIG": str(kubeconfig)} | {f"DSPY_SERVICE_{name}": value for name, value in given.items()}
    process = subprocess.Popen([str(Path(sys.executable).parent / "dspy-service-api")], env=env)
    try:
        await_port(port)
        yield Api(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


async def posted(url: str, bodies: list[tuple[bytes, dict[str, str]]]) -> list[int]:
    async with httpx.AsyncClient(base_url=url, timeout=120, event_hooks=HELD_ASYNC) as client:
        answers = await asyncio.gather(*(client.post("/run", content=body, headers=key) for body, key in bodies))
        assert (await client.get("/livez")).status_code == 200
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("shape", SHAPES)
def test_two_largest_bodies_at_once_stay_below_the_chart_s_limit(shape: str, running: Api) -> None:
    body = SHAPES[shape](LARGEST)
    assert LARGEST * 0.8 < len(body) <= LARGEST + 10_000

    codes = asyncio.run(posted(running.url, [(body, {}), (body, {"Idempotency-Key": shape.replace(" ", "-")})]))

    assert running.peak_bytes() < limit_bytes() * 0.85
    assert set(codes) <= {200, 422}, codes
