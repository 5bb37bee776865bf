"""Jobs come after whoever runs the node, also where that has been started nice."""

import subprocess
import sys

CODE = (
    "import os, sys; os.nice(int(sys.argv[1])); "
    "from dspy_service_local.node.processes.priority import behind; print({})"
)


def behind_a_process(nice: int) -> list[int]:
    """In a process of its own, since niceness cannot be taken back."""
    command = [sys.executable, "-c", CODE.format("behind(5), behind(19)"), str(nice)]
    return [int(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_steps_are_counted_from_this_process() -> None:
    first, last = behind_a_process(0)
    assert behind_a_process(3) == [min(first + 3, 19), 19]
    assert last == 19
