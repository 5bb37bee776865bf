"""Compiles the runner's modules when nobody has: a job's processes cannot, their view of the interpreter is read-only.

Without bytecode the import of dspy takes three times as long, at every start of every job. Installers mostly compile;
`uv` does when asked to, an editable install does not.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

_PROBES = ("dspy", "httpx", "dspy_service_runner.optimizer.main", "dspy_service_runner.reporter.main")
_IMPORTS = "import dspy_service_runner.reporter.main, dspy_service_runner.optimizer.main"
_POLITELY = "import os; os.nice(10); os.umask(0o022)"
"""Bytecode is no more secret than the source beside it, and whoever else uses this environment needs it too."""


def is_missing() -> bool:
    """One missing or stale file among a few that were surely imported stands for all."""
    origins = [Path(spec.origin) for spec in map(importlib.util.find_spec, _PROBES) if spec and spec.origin]
    return any(_stale(origin) for origin in origins)


async def compile_runner(environment: Mapping[str, str]) -> None:
    """By importing everything once, outside of any sandbox, in a process of its own and politely."""
    env = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with TemporaryDirectory() as scratch:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", f"{_POLITELY}; {_IMPORTS}"),
            env=env | {"DSPY_CACHEDIR": scratch},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await child.wait()


def _stale(source: Path) -> bool:
    cached = Path(importlib.util.cache_from_source(str(source)))
    return not cached.exists() or cached.stat().st_mtime < source.stat().st_mtime
