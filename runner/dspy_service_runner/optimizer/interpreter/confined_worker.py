"""Started as a process: sets its limits, then becomes dspy's interpreter worker.

Standard library alone, because it runs isolated from what the optimizer has installed and from the job's folders.

usage: confined_worker.py WORKER PARENT MEMORY
"""

import ctypes
import os
import resource
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(worker: str, parent: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        return
    sys.argv = [worker]
    runpy.run_path(worker, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
