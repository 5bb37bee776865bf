"""Removes folders that user code wrote: by `rm`, which copes with trees too deep for a recursion of our own."""

import asyncio
from pathlib import Path


async def remove_tree(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    null = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec("rm", "-rf", "--", str(folder), stdin=null, stdout=null, stderr=null)
    await child.wait()


async def remove_pod_folder(folder: Path) -> None:
    """A pod's folder may be a link to the slot that it was started in."""
    if folder.is_symlink():
        target = folder.resolve()
        folder.unlink()
        await remove_tree(target)
    else:
        await remove_tree(folder)
