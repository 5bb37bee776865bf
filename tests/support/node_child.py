"""A node in a process of its own, to be killed: `python node_child.py FOLDER plain|sandbox|warm MARKER`.

The marker is in the command line of all that it starts, or in the environment of what it keeps warm.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from dspy_service_local.node.pods.context import Folders
from dspy_service_local.node.sandbox import warm_process
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.sandbox.warm import WarmLauncher
from node_host import BASE_ENV, Host, launchers, node_host, script, sidecar
from waiting import until

CODE = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.fork()
print('up', flush=True)
time.sleep(300)
"""
SUPPORT = Path(__file__).parent


async def main(folder: Path, launcher: str, marker: str) -> None:
    if launcher == "warm":
        await warm_node(folder, marker)
    async with node_host(folder, launchers(folder)[launcher]) as host:
        name = host.run_pod(containers=[script(CODE, args=[marker])], init=[sidecar(CODE, args=[marker])])
        await be_killed(host, name)


async def warm_node(folder: Path, marker: str) -> None:
    warm_process.FORK_SECONDS = 60.0
    cold = launchers(folder, [SUPPORT])["sandbox"]
    assert isinstance(cold, SandboxLauncher)
    env = {**BASE_ENV, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1", "MARKER": marker}
    folders = Folders(folder)
    hidden = {"pods": folders.pods, "volumes": folders.claims}
    warm = WarmLauncher(cold, hidden, env, folder / "logs", {"env": "warm_probe:main"})
    keeping = asyncio.create_task(warm.run())
    await until(lambda: some(warm.waiting))
    container: dict[str, Any] = {"image": "probe", "command": ["env"], "args": ["multiply"]}
    async with node_host(folder, warm) as host:
        side = {"name": "side", "restartPolicy": "Always", **container}
        name = host.run_pod(containers=[{"name": "main", **container}], init=[side])
        await be_killed(host, name)
    await keeping


async def be_killed(host: Host, name: str) -> None:
    await host.says(name, "up")
    print("up", flush=True)
    await asyncio.sleep(300)


async def some(value: object) -> bool:
    return bool(value)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
