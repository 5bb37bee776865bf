"""The container's stdout takes lines of many threads at once, and costs nobody anything when its reader is slow."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from dspy_service_runner.optimizer.progress.log_entries import Relay

WRITERS, LINES = 8, 400
LONG = "x" * 5_000
"""Longer than what a pipe takes in one piece."""


def test_lines_of_many_threads_arrive_whole() -> None:
    read, write = os.pipe()
    relay = Relay(write)
    received = bytearray()

    def drain() -> None:
        while piece := os.read(read, 65_536):
            received.extend(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    with ThreadPoolExecutor(WRITERS) as threads:
        written = [threads.submit(_write, relay, writer) for writer in range(WRITERS)]
    os.close(write)
    reader.join()
    os.close(read)

    assert [done.exception() for done in written] == [None] * WRITERS
    lines = received.decode().splitlines()
    assert sorted(lines) == sorted(f"{writer} {n} {LONG}" for writer in range(WRITERS) for n in range(LINES))


def _write(relay: Relay, writer: int) -> None:
    for n in range(LINES):
        relay.write(f"{writer} {n} {LONG}\n")
