"""A prewarmed process is locked into its sandbox only while it has one thread, and must hold nothing of a job."""

import subprocess
import sys

COUNT = """
import os, sys
from dspy_service_runner.optimizer import main
main.preload()
print(len(os.listdir("/proc/self/task")), "litellm" in sys.modules)
"""


def test_importing_and_preloading_starts_no_thread() -> None:
    ended = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "False"]
