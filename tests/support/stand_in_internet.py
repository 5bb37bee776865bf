"""Another machine on another network, made of a network namespace: what answers there is "the internet" to the tests,
by an address that is nobody's (TEST-NET-3), and a private and a link-local neighbour by further addresses.
"""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from waiting import wait_for

PORT = 8080
_SERVER = """
import http.server, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"from " + self.headers["Host"].encode())
    def log_message(self, *_): pass
sys.stdin.readline()
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Answer)
print("up", flush=True)
server.serve_forever()
"""
_numbers = itertools.count(os.getpid() % 100)


@dataclass(frozen=True)
class Elsewhere:
    internet: str
    private: str
    carrier: str
    link_local: str


def missing_stand_in() -> str:
    """Why there can be none here."""
    if os.geteuid():
        return "only root can make a network to stand for the internet"
    missing = [tool for tool in ("ip", "unshare") if not shutil.which(tool)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    number = next(_numbers) % 200 + 20
    places = Elsewhere(f"203.0.113.{number}", f"10.213.{number}.7", f"100.100.{number}.7", f"169.254.213.{number}")
    addresses = vars(places).values()
    command = ["unshare", "--net", sys.executable, "-I", "-S", "-c", _SERVER, str(PORT)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin
    assert server.stdout
    here, there = f"dsvc{number}h", f"dsvc{number}t"
    inside = ("nsenter", f"--net=/proc/{server.pid}/ns/net")
    try:
        own = os.stat("/proc/self/ns/net").st_ino
        wait_for(lambda: os.stat(f"/proc/{server.pid}/ns/net").st_ino != own, what="the other network")
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(server.pid))
        _run("ip", "address", "add", f"198.51.100.{number}/32", "dev", here)
        _run("ip", "link", "set", here, "up")
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "link", "set", there, "up")
        for address in addresses:
            _run(*inside, "ip", "address", "add", f"{address}/32", "dev", there)
            _run("ip", "route", "add", f"{address}/32", "dev", here, "src", f"198.51.100.{number}")
        _run(*inside, "ip", "route", "add", f"198.51.100.{number}/32", "dev", there)
        server.stdin.write(b"\n")
        server.stdin.flush()
        assert server.stdout.readline() == b"up\n"
        yield places
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()
        subprocess.run(["ip", "link", "delete", here], capture_output=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
