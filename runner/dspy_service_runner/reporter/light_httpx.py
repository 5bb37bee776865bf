"""httpx without its command line: the reporter has one process a job, and 40 MB for it."""

import sys

# httpx imports click, rich and pygments (9 MB, 40 ms) wherever those happen to be installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how Python says "not to be had"

import httpx  # noqa: E402  # after the line above

__all__ = ["httpx"]
