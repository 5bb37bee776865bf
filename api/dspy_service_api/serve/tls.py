"""Reloads the server's certificate when its files change, since mounted Secrets are rotated while the process runs.

A context with a new chain uses it from the next handshake on; open connections are not affected.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


class TlsError(Exception):
    """The files cannot be used; the message names them."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    certificate: Path
    key: Path
    look_seconds: float = 10.0

    def check(self) -> None:
        self.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as exc:
            raise TlsError(f"cannot serve HTTPS with {self.certificate} and {self.key}: {exc}") from exc

    async def keep_loaded(self, context: ssl.SSLContext) -> None:
        """Never returns. While the two files do not match (yet), the last good certificate stays in use."""
        loaded = self._stamp()
        while True:
            await asyncio.sleep(self.look_seconds)
            if (found := self._stamp()) == loaded:
                continue
            try:
                self.check()  # on a context of its own: one that took half of a pair could serve nobody
                self.load(context)
                loaded = found
                log.info("the certificate in %s has changed and is in use", self.certificate)
            except TlsError as exc:
                log.warning("%s; the last good certificate stays in use", exc)

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Follows symbolic links, because a mounted Secret changes by swapping one."""
        try:
            found = [path.stat() for path in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)
