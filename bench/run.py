"""`make bench`: every figure beside its limit or its peer, measured in the same run.

Each section is a file with `measure() -> list[Figure]`. Nothing here asserts: a figure that misses its limit is printed
as not met, and the exit code stays 0.
"""

import os
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from measuring.figures import Figure
from sections import (
    api_requests,
    control,
    freshness,
    images,
    jobs,
    memory,
    page_views,
    pods,
    reads,
    reflections,
    searches,
    streams,
    submits,
)

SECTIONS: dict[str, Callable[[], list[Figure]]] = {
    "submits": submits.measure,
    "reads": reads.measure,
    "jobs": jobs.measure,
    "memory": memory.measure,
    "freshness": freshness.measure,
    "control": control.measure,
    "searches-wide": searches.wide,
    "searches-narrow": searches.narrow,
    "searches-hedged": searches.hedged,
    "searches-overhead": searches.overhead,
    "reflections": reflections.measure,
    "streams": streams.measure,
    "pages": page_views.measure,
    "images": images.measure,
    "requests": api_requests.measure,
    "pods": pods.measure,
}
SEARCHES = tuple(name for name in SECTIONS if name.startswith("searches"))
"""A quarter of an hour."""
BY_DEFAULT = (
    "submits",
    "reads",
    "jobs",
    "memory",
    "freshness",
    "control",
    "reflections",
    "streams",
    "pages",
    *SEARCHES,
)
"""Those that need nothing but this checkout."""


def main(wanted: list[str]) -> None:
    console = Console(width=140)
    for name in wanted or BY_DEFAULT:
        load = os.getloadavg()[0]
        table = Table(title=f"{name} (load average before: {load:.1f})", title_justify="left")
        for column in ("figure", "measured", "limit or peer", "ratio", ""):
            table.add_column(column, justify="left" if column == "figure" else "right")
        for figure in SECTIONS[name]():
            table.add_row(figure.what, figure.measured, figure.against, f"{figure.ratio:.2f}", figure.verdict)
        console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
