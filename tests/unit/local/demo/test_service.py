"""The child process: awaited, and gone whatever happens. Stands in for `dspy-service up`: a script of a few lines."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dspy_service_local.demo.service import ServiceDidNotStart, running_service
from living import alive
from waiting import wait_for

GOOD = """
import signal, subprocess, sys, time
open(sys.argv[2] + "/arguments", "w").write(" ".join(sys.argv[1:]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def stop(*_):
    child.terminate()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("starting", flush=True)
print("dspy-service ready at http://127.0.0.1:4711 (kubeconfig x)", flush=True)
print("x" * 300_000, flush=True)
open(sys.argv[2] + "/wrote", "w").close()
time.sleep(600)
"""
BAD = "import sys; print('port 8000 is taken'); sys.exit(1)"


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def command(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def test_it_waits_for_the_address_and_stops_all_of_it(tmp_path: Path) -> None:
    before = descendants()
    with running_service(tmp_path, 4711, command(GOOD)) as url:
        assert url == "http://127.0.0.1:4711"
        assert (tmp_path / "arguments").read_text() == f"--data-dir {tmp_path} --port 4711"
        wait_for((tmp_path / "wrote").exists, what="its output is read to the end")
        assert len(descendants() - before) == 2
    wait_for(lambda: not descendants() - before)


def test_it_asks_for_a_token_of_its_own_where_one_is_wanted(tmp_path: Path) -> None:
    with running_service(tmp_path, 4711, command(GOOD), token=True):
        assert (tmp_path / "arguments").read_text() == f"--data-dir {tmp_path} --port 4711 --token"


def test_it_stops_when_the_demo_fails(tmp_path: Path) -> None:
    before = descendants()
    with pytest.raises(RuntimeError), running_service(tmp_path, 0, command(GOOD)):
        raise RuntimeError
    wait_for(lambda: not descendants() - before)


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServiceDidNotStart, match="port 8000 is taken"), running_service(tmp_path, 0, command(BAD)):
        pass


DEMO = """
import sys
from pathlib import Path
from dspy_service_local.demo.command import leave_in_order
from dspy_service_local.demo.service import running_service
leave_in_order()
with running_service(Path(sys.argv[1]), 0, (sys.executable, "-c", sys.argv[2])):
    print("up", flush=True)
    import time
    time.sleep(600)
"""


def _heeds_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    arguments = [sys.executable, "-c", DEMO, str(tmp_path), GOOD]
    # A shell ignores SIGINT for what it starts in the background, and all below inherits that: not so the demo here.
    demo = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, preexec_fn=_heeds_interrupts)
    assert demo.stdout is not None
    assert demo.stdout.readline() == "up\n"
    below = psutil.Process(demo.pid).children(recursive=True)
    assert len(below) == 2
    os.kill(demo.pid, number)
    assert demo.wait(30) != 0
    wait_for(lambda: not any(alive(process) for process in below))


KEPT = """
import subprocess, sys
from pathlib import Path
from dspy_service_local.demo.service import running_service
with running_service(Path(sys.argv[1]), 0) as url:
    kept = subprocess.Popen(["sleep", "600"])
    print(url, kept.pid, flush=True)
    kept.wait()
"""


@pytest.mark.e2e
def test_a_killed_demo_leaves_no_service(tmp_path: Path) -> None:
    demo = subprocess.Popen([sys.executable, "-c", KEPT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    url, kept = demo.stdout.readline().split()
    assert url.startswith("http://127.0.0.1:")
    service = [each for each in psutil.Process(demo.pid).children(recursive=True) if each.pid != int(kept)]
    assert service
    demo.kill()
    demo.wait()
    os.kill(int(kept), signal.SIGKILL)
    wait_for(lambda: not any(alive(process) for process in service), what="all of the service has ended")
