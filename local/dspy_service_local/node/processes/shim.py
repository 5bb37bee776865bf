"""Runs one container where there is no sandbox: a script of its own, standard library alone, started with -I -S.

It adopts every descendant of the container that loses its parent (Linux), so that nothing escapes by a new session;
when the container's command ends, or the node closes the control pipe (or dies), it kills all that is left.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main(control: int) -> int:
    plan = json.loads(_first_line(control))
    _adopt_orphans()
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    command = os.fork()
    if command == 0:
        _execute(plan, (control, wakeup, wakeup_write))
    signal.signal(signal.SIGTERM, lambda *_: _send(command, signal.SIGTERM))
    code = _wait(command, control, wakeup)
    _kill_descendants(command)
    return code


def _first_line(control: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(control, 65536)
        if not chunk:
            sys.exit(1)
        line += chunk
    return line


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _execute(plan: dict[str, object], close: tuple[int, ...]) -> None:
    """In the child: never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in close:
            os.close(descriptor)
        os.setsid()
        _restrict(plan)
        os.chdir(str(plan["cwd"]))
        command, env = plan["command"], plan["env"]
        os.execvpe(command[0], command, env)  # type: ignore[index,arg-type]  # the node wrote the plan
    except BaseException as exc:
        os.write(2, f"cannot start {plan['command']}: {exc}\n".encode())
    os._exit(127)


def _restrict(plan: dict[str, object]) -> None:
    limits: dict[str, tuple[int, int]] = plan["limits"]  # type: ignore[assignment]  # the node wrote the plan
    for kind, pair in limits.items():
        resource.setrlimit(int(kind), (pair[0], pair[1]))
    os.nice(int(str(plan["nice"])))


def _wait(command: int, control: int, wakeup: int) -> int:
    """The command's exit code, or 137 when the node closed the pipe first."""
    while True:
        readable, _, _ = select.select([control, wakeup], [], [])
        if wakeup in readable:
            os.read(wakeup, 4096)
            code = _reap(command)
            if code is not None:
                return code
        if control in readable and not os.read(control, 4096):
            return 137


def _reap(command: int) -> int | None:
    """Collects every ended child; the command's exit code when it was among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            code = 128 - code if code < 0 else code


def _kill_descendants(command: int) -> None:
    """Until there is none: each round kills what the last one's victims had started meanwhile."""
    _send(-command, signal.SIGKILL)
    _send(command, signal.SIGKILL)
    while True:
        for pid in _children(os.getpid()):
            for descendant in _tree(pid):
                _send(descendant, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _tree(pid: int) -> list[int]:
    return [pid, *(d for child in _children(pid) for d in _tree(child))]


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{thread}/children").read_text() for thread in threads]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
