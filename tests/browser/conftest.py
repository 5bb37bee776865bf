"""A Chromium beside the service of all end-to-end tests, and jobs whose pages are looked at."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from browser import Open, Watched, browser, chromium, tab
from payloads import payload
from under_test import Model, Service
from whole_jobs import ended, submit

SEARCH: dict[str, Any] = {
    "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
    "optimizer_kwargs": {"num_candidate_programs": 8, "max_bootstrapped_demos": 1, "num_threads": 1},
    "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
}
NASTY = "<img src=x onerror=alert(1)> \u202e evil {{ 7*7 }} 中文 עברית"


@pytest.fixture(scope="session")
def launched() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with browser() as found:
        yield found


@pytest.fixture
def opened(launched: Browser, running: Service) -> Open:
    """A tab that is signed in, where the service asks for that."""

    def open_tab(**options: Any) -> AbstractContextManager[Watched]:
        return _SignedIn(launched, running, options)

    return open_tab


class _SignedIn:
    def __init__(self, launched: Browser, running: Service, options: dict[str, Any]) -> None:
        self._tab = tab(launched, running.url, **options)
        self._token = running.token

    def __enter__(self) -> Watched:
        watched = self._tab.__enter__()
        if self._token:
            watched.page.goto("/")
            watched.page.get_by_label("Token").fill(self._token)
            watched.page.get_by_role("button", name="Sign in").click()
            watched.page.wait_for_url("**/")
        return watched

    def __exit__(self, *error: Any) -> None:
        self._tab.__exit__(*error)


@pytest.fixture(scope="session")
def finished(running: Service, model: Model) -> str:
    """A job that succeeded, with text that a page must not take for its own."""
    options = {"name": "browser-finished", "note": NASTY}
    body = payload(40, model.url, run_options=options, **SEARCH)
    job_id = submit(running.http, body)
    assert ended(running.http, job_id)["status"] == "success"
    return job_id


@pytest.fixture(scope="session")
def other(running: Service, model: Model) -> str:
    body = orjson.loads(payload(40, model.url, run_options={"name": "browser-other"}))
    job_id = submit(running.http, orjson.dumps(body))
    assert ended(running.http, job_id)["status"] == "success"
    return job_id


@pytest.fixture
def slow(model: Model) -> Iterator[Model]:
    model.reset()
    model.latency = 0.1
    yield model
    model.latency = 0.0
