"""Whether jobs are confined on this machine: tests of what only a sandbox can give ask first."""

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from dspy_service_local.node.sandbox.find_sandbox import find_sandbox


@cache
def missing_sandbox() -> str:
    """Why there is none; empty where there is one."""
    found = find_sandbox({"PATH": os.environ["PATH"]}, Path(tempfile.gettempdir()) / "dspy-service-probe")
    return found if isinstance(found, str) else ""


def need_sandbox() -> None:
    if reason := missing_sandbox():
        pytest.skip(reason)
