"""Imports httpx without its command line, to save memory: every job has a reporter process, and 40 MB for it."""

import sys

# httpx imports click, rich and pygments (9 MB, 40 ms) wherever those happen to be installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None makes this import fail; httpx allows that

import httpx  # noqa: E402  # has to follow the line above

__all__ = ["httpx"]
