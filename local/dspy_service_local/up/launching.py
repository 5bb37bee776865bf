"""How jobs' processes are started on this machine: sandboxed where that works, forked from warm ones where wanted."""

import os
import shutil
from collections.abc import Callable, Mapping

from dspy_service_local.node.network.networks import Networks
from dspy_service_local.node.network.slirp import Slirp
from dspy_service_local.node.pods.context import Folders
from dspy_service_local.node.processes.cgroups import find_cgroups
from dspy_service_local.node.processes.plain_process import PlainLauncher
from dspy_service_local.node.processes.processes import Launcher
from dspy_service_local.node.sandbox.find_network import find_slirp
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from dspy_service_local.node.sandbox.sandbox import Sandbox
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.sandbox.warm import WarmLauncher
from dspy_service_local.settings import LocalSettings


class NoSandbox(Exception):
    """One was required."""


def choose_launcher(
    settings: LocalSettings, base_env: Mapping[str, str], own_ports: frozenset[int], say: Callable[[str], None]
) -> Launcher:
    found: Sandbox | str = "DSPY_SERVICE_SANDBOX is off"
    if settings.sandbox != "off":
        found = find_sandbox(base_env, settings.folder, user=settings.pod_user)
    if isinstance(found, Sandbox):
        networks = _networks(settings, found, own_ports, say)
        return _sandboxed(settings, base_env, SandboxLauncher(found, find_cgroups(), networks))
    if settings.sandbox == "require":
        raise NoSandbox(f"no sandbox: {found}")
    if settings.sandbox == "auto" and os.geteuid() == 0 and shutil.which("bwrap"):
        raise NoSandbox(f"no sandbox, and jobs would run as root: {found}; start as another user, or --sandbox off")
    say(f"no sandbox ({found}): the code of jobs runs as you and can read what you can read; no prewarmed starts")
    return PlainLauncher(find_cgroups())


def _networks(
    settings: LocalSettings, sandbox: Sandbox, own_ports: frozenset[int], say: Callable[[str], None]
) -> Networks | None:
    slirp = find_slirp(sandbox)
    if isinstance(slirp, Slirp):
        folder = Folders(settings.folder).networks
        return Networks(slirp, folder, sandbox.user, settings.job_endpoints, own_ports, settings.job_connections)
    say(f"jobs share this machine's network ({slirp}): their code reaches the HTTP API and every other port here")
    return None


def _sandboxed(settings: LocalSettings, base_env: Mapping[str, str], cold: SandboxLauncher) -> Launcher:
    if not settings.prewarmed:
        return cold
    folders = Folders(settings.folder)
    hidden = {"pods": folders.pods, "volumes": folders.claims, "networks": folders.networks}
    return WarmLauncher(cold, hidden, base_env, settings.folder / "logs")
