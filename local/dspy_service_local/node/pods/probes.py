"""Startup probes: commands run inside a starting sidecar until one succeeds."""

import asyncio
import shutil

from dspy_service_local.node.pods.containers import ContainerRun
from dspy_service_local.node.pods.model import StartupProbe
from dspy_service_local.node.processes.launch import Launch
from dspy_service_local.node.processes.namespaced_process import NamespacedProcess
from dspy_service_local.node.processes.plain_process import rewrite


async def until_started(run: ContainerRun, probe: StartupProbe, launch: Launch) -> None:
    """After too many failures the container is killed; its keeper starts it again and the probe begins anew."""
    await asyncio.sleep(probe.initial_delay)
    failures = 0
    while not run.status.started:
        if run.running and await _succeeds(run, probe, launch):
            run.set_started()
            return
        failures += run.running
        if failures >= probe.failures:
            run.kill()
            failures = 0
        await asyncio.sleep(probe.period)


async def _succeeds(run: ContainerRun, probe: StartupProbe, launch: Launch) -> bool:
    child = await asyncio.create_subprocess_exec(
        *_command(run, probe, launch),
        env=dict(launch.env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return await asyncio.wait_for(child.wait(), probe.timeout) == 0
    except TimeoutError:
        child.kill()
        await child.wait()
        return False


def _command(run: ContainerRun, probe: StartupProbe, launch: Launch) -> list[str]:
    if not isinstance(run.process, NamespacedProcess):
        return [rewrite(part, launch.binds) for part in probe.command]
    users = f"--user=/proc/{run.process.users}/ns/user"
    enter = [shutil.which("nsenter") or "nsenter", "-t", str(run.process.root), users, "--preserve-credentials"]
    return [*enter, "-m", "-p", "-i", "-u", "--", *probe.command]
