"""A node that starts a container with a network of its own, prints its children, and is killed."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil

from dspy_service_local.node.network.networks import Networks
from dspy_service_local.node.network.slirp import Slirp
from dspy_service_local.node.processes.launch import Launch, ProcessLimits
from dspy_service_local.node.sandbox.find_network import find_slirp
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from dspy_service_local.node.sandbox.sandbox import Sandbox
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher


async def main(data: Path) -> None:
    sandbox = find_sandbox({}, data)
    assert isinstance(sandbox, Sandbox)
    slirp = find_slirp(sandbox)
    assert isinstance(slirp, Slirp)
    launcher = SandboxLauncher(sandbox, None, Networks(slirp, data / "networks", sandbox.user, (), frozenset(), 8))
    command = (sys.executable, "-c", "import time; time.sleep(300)")
    output = os.open(os.devnull, os.O_WRONLY)
    await launcher.start(Launch(command, {}, ProcessLimits(64, 64, 0), endpoints=()), output)
    print(json.dumps({child.name(): child.pid for child in psutil.Process().children()}), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
