"""What a container's network lets it reach: every argument is a `host:port` to connect to; the answers as JSON."""

import json
import socket
import sys
import time

_SECONDS = 8.0


def main() -> int:
    if sys.argv[1:] == ["sleep"]:
        print("sleeping", flush=True)
        time.sleep(300)
    print(json.dumps({place: _tried(place) for place in sys.argv[1:]}), flush=True)
    return 0


def _tried(place: str) -> str:
    """An answer, and not a connection alone, is what counts: a relay takes it before it knows."""
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: probe\r\n\r\n")
            return "reached" if connection.recv(1) else "closed"
    except OSError:
        return "refused"


if __name__ == "__main__":
    sys.exit(main())
