"""What must always run inside `up` is started again when it fails, whatever the cause: a defect in one part, or a
moment without memory or descriptors, costs that part a pause and nobody else anything.

Every part begins from what is stored (a list, then a watch), so that nothing has to be handed over from its last run.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY, _STEADY_SECONDS = 0.1, 30.0, 60.0


async def keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled. `work` has no end of its own either: its end is a failure like any other."""
    loop, delay = asyncio.get_running_loop(), _FIRST_DELAY
    while True:
        begun = loop.time()
        try:
            await work()
            log.error("%s has ended by itself; again in %g s", name, delay)
        except Exception:
            log.exception("%s has failed; again in %g s", name, delay)
        await asyncio.sleep(delay)
        delay = _FIRST_DELAY if loop.time() - begun > _STEADY_SECONDS else min(delay * 2, _LONGEST_DELAY)
