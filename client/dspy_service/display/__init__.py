"""Shows a job while it runs: redrawn in place on a terminal, as plain lines elsewhere.

watch_job(client, job_id, console) -> the job's last summary
"""

from collections.abc import Iterable
from typing import Protocol

from rich.console import Console

from dspy_service.answers import Summary
from dspy_service.display.live import show_live
from dspy_service.display.plain import show_plain
from dspy_service.watching import Update


class Watched(Protocol):
    """A client, as far as a display needs it."""

    def watch(self, job_id: str, *, from_log: int = 0) -> Iterable[Update]: ...


def watch_job(client: Watched, job_id: str, console: Console) -> Summary:
    return show(client.watch(job_id), console)


def show(updates: Iterable[Update], console: Console) -> Summary:
    return show_live(updates, console) if console.is_terminal else show_plain(updates, console)
