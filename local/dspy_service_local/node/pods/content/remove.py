"""Removes, or gives away, folders that user code wrote: by `rm` and `chown`, which cope with trees too deep for a
recursion of our own.

They inherit no variables but PATH: the service's may hold the keys of its models.
"""

import asyncio
import os
from pathlib import Path


async def remove_tree(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        await _run("rm", "-rf", "--", str(folder))


async def give_tree(folder: Path, owner: int) -> None:
    """To a user and the group of the same number; nothing runs that could change the tree meanwhile."""
    await _run("chown", "-hRP", f"{owner}:{owner}", "--", str(folder))


async def _run(*command: str) -> None:
    null = asyncio.subprocess.DEVNULL
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    child = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=null, stderr=null, env=environment)
    await child.wait()
