"""Removes folders that user code wrote: by `rm`, which copes with trees too deep for a recursion of our own.

It inherits no variables but PATH: the service's may hold the keys of its models.
"""

import asyncio
import os
from pathlib import Path


async def remove_tree(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    null = asyncio.subprocess.DEVNULL
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    command = ("rm", "-rf", "--", str(folder))
    child = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=null, stderr=null, env=environment)
    await child.wait()
