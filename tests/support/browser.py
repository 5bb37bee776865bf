"""A real Chromium for tests, in which anything that goes wrong unseen fails the test.

A page error, a console message of level error, a violated policy, a request that failed or was answered with a status
that nobody expected: each is told at the end of the test that saw it.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
_TABS = re.compile(r"^(?:chrome|about|data):")


def chromium() -> str | None:
    return next((found for name in EXECUTABLES if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Without its own sandbox: as root, where CI runs, it has none."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield launched
        finally:
            launched.close()


@dataclass
class Watched:
    """One tab; `expected` are statuses that its requests may have besides good ones."""

    page: Page
    context: BrowserContext
    expected: set[int] = field(default_factory=set)
    offline: bool = False
    """While the service is away, failed requests are what should be."""
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        text = message.text
        known = self.offline or any(re.search(rf"status (?:of )?{status}\b", text) for status in self.expected)
        if message.type == "error" and not known:
            self.wrong.append(f"console: {text}")

    def _failed(self, request: Request) -> None:
        """A stream that the page itself leaves, and a request that a navigation overtakes, are aborted."""
        if request.failure != "net::ERR_ABORTED" and not self.offline and not _TABS.match(request.url):
            self.wrong.append(f"request: {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.wrong.append(f"answer: {response.url}: {response.status}")


Open = Callable[..., AbstractContextManager[Watched]]
"""Opens a tab that is signed in, with options of a browser's context."""


@contextmanager
def tab(launched: Browser, base_url: str, **options: Any) -> Iterator[Watched]:
    context = launched.new_context(base_url=base_url, **options)
    context.set_default_timeout(20_000)
    watched = Watched(context.new_page(), context)
    try:
        yield watched
        assert watched.wrong == [], watched.wrong
    finally:
        context.close()
