"""`dspy-service up`, for as long as its standard input is open: whoever started it holds the other end.

So the service stops in order even where the demo is killed and can stop nothing itself.
"""

import os
import signal
import threading

from dspy_service_local.up.command import command


def _stop_with_parent() -> None:
    while os.read(0, 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    command()
