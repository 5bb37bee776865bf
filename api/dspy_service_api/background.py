"""Runs the background tasks of the API. `/livez` fails as soon as one of them has died."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping

log = logging.getLogger(__name__)


class Background:
    def __init__(self) -> None:
        self.died = ""
        """Which task died of which kind of error. The probe shows this to anybody; the details are only in the log."""

    async def run(self, parts: Mapping[str, Coroutine[None, None, None]]) -> None:
        """Until it is cancelled, since no part ends by itself. The first that dies is remembered and ends the
        others."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, part in parts.items():
                    group.create_task(self._watched(name, part))
        except* Exception as died:
            log.critical("nothing goes on beside the requests any more", exc_info=died)

    async def _watched(self, name: str, part: Coroutine[None, None, None]) -> None:
        try:
            await part
        except Exception as exc:
            self.died = self.died or f"{name} died of {type(exc).__name__}"
            raise
