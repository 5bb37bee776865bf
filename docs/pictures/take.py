"""`make pictures`: the pictures of the web page, taken of a real run of the demo's data in a real Chromium.

Three jobs on the demo's tickets and its humble model, each by another optimizer; the pages are looked at while one
searches and when all have ended. Whatever would fail the browser's tests (a console's error, a violated policy) fails
here too.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from browser import browser, chromium, tab
from dspy_service_local.demo.model.server import MODEL, ModelServer
from dspy_service_local.demo.task import Task, payload_of
from waiting import wait_for
from whole_jobs import ended, job, submit
from whole_service import Service, service

HERE = Path(__file__).parent
OPTIMIZERS = ("bootstrapfewshot", "gepa", "miprov2")
WIDTH = 1100


def main() -> None:
    if chromium() is None:
        raise SystemExit("No Chromium on this machine: apt-get install chromium")
    with service("--concurrency", "1") as running, ModelServer() as server, browser() as launched:
        jobs = {each: submit(running.http, _payload(server.url, each)) for each in OPTIMIZERS}
        _of_a_search(launched, running, jobs["miprov2"])
        for job_id in jobs.values():
            found = ended(running.http, job_id, timeout=600)
            assert found["status"] == "success", found["message"]
        _of_results(launched, running, jobs)


def _payload(url: str, optimizer: str) -> bytes:
    model = {"name": f"openai/{MODEL}", "base_url": url, "extra": {"api_key": "none-needed"}}
    body = payload_of(Task(optimizer=optimizer), model)
    return json.dumps(body | {"run_options": {"name": f"tickets-{optimizer}"}}).encode()


def _of_a_search(launched: Browser, running: Service, job_id: str) -> None:
    wait_for(lambda: _percent(running, job_id) > 55, timeout=600, interval=0.05, what="a search that is half done")
    with _page(launched, running, 720) as page:
        page.goto(f"/page/jobs/{job_id}")
        page.locator("figure.curve .plot").wait_for()
        _take(page, "search")


def _percent(running: Service, job_id: str) -> float:
    return float(job(running.http, job_id, "/summary")["latest_metrics"].get("tqdm_percent", 0.0))


def _of_results(launched: Browser, running: Service, jobs: Mapping[str, str]) -> None:
    with _page(launched, running, 480) as page:
        page.goto("/")
        _take(page, "jobs")
    with _page(launched, running, 1150) as page:
        page.goto(f"/page/jobs/{jobs['miprov2']}")
        _take(page, "job")
    with _page(launched, running, 800, color_scheme="dark") as page:
        page.goto(f"/page/compare?job={jobs['gepa']}&job={jobs['miprov2']}")
        _take(page, "compare-dark")
    with _page(launched, running, 900) as page:
        page.goto(f"/page/new?from={jobs['miprov2']}")
        page.get_by_text("It can be sent").wait_for(timeout=60_000)
        _take(page, "send-again")


@contextmanager
def _page(launched: Browser, running: Service, height: int, **options: Any) -> Iterator[Page]:
    with tab(launched, running.url, viewport={"width": WIDTH, "height": height}, **options) as watched:
        yield watched.page


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(500)  # for what scripts draw
    page.screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    main()
