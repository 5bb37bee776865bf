"""A node in a process of its own, to be killed: `python node_child.py FOLDER plain|sandbox MARKER`."""

import asyncio
import sys
from pathlib import Path

from node_host import Host, launchers, node_host, script, sidecar
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


async def main(folder: Path, launcher: str, marker: str) -> None:
    async with node_host(folder, launchers(folder)[launcher]) as host:
        name = host.run_pod(containers=[script(CODE, args=[marker])], init=[sidecar(CODE, args=[marker])])
        await host.container(name, "main", "running")
        await until(lambda: says_up(host, name))
        print("up", flush=True)
        await asyncio.sleep(300)


async def says_up(host: Host, name: str) -> bool:
    return "up" in host.log(name)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
