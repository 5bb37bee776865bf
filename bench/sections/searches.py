"""Whole searches as fast as the model allows: a job that is told nothing, beside bare DSPy with fixed threads and the
limit, which is the calls times what one takes by the model server's places.

The server takes 200 ms a call and refuses with 429 and `Retry-After: 1` what comes above its places. `wide` serves 32
at once, `narrow` 8. A fixed setting that lost rows to refusals is no peer: it did less. The parts after them: one call
in fifty takes 5 s more, with and without `hedge`; and what the service costs where a call takes 10 ms.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring.figures import Figure
from optimizer_job import METRIC, SIGNATURE, OptimizerForge, make_folders, make_spec
from peers.bare_search import EVALUATE, Course, Search, bare
from scripted_lm import ScriptedServer

SEARCHES = {
    "MIPROv2 light": Search("MIPROv2", {"auto": "light"}),
    "BootstrapRS 10": Search("BootstrapRS", {"num_candidate_programs": 10}),
    "SIMBA": Search("SIMBA", {"bsize": 16}),
    "GEPA 200": Search("GEPA", {"max_metric_calls": 200}),
}
FIXED = (8, 32, 64)
"""Threads; 8 is DSPy's default."""
AT_MOST_OF_DEFAULT = {"MIPROv2 light": 0.7, "BootstrapRS 10": 0.7, "SIMBA": 0.36}
LATENCY, SHORT = 0.2, 0.01
LABELS = ("billing", "technical")
ROWS = {"train": 30, "val": 30, "test": 10}
GEPA_METRIC = METRIC.replace("trace=None", "trace=None, pred_name=None, pred_trace=None")


@dataclass(frozen=True)
class Ours:
    course: Course
    calls: int
    threads: int


def wide() -> list[Figure]:
    return _beside_fixed(32, 1.2, AT_MOST_OF_DEFAULT)


def narrow() -> list[Figure]:
    return _beside_fixed(8, 1.3, {})


def hedged() -> list[Figure]:
    search = SEARCHES["MIPROv2 light"]
    with _bench() as bench:
        bench.serve(places=32)
        plain = bench.ours(search)
        bench.serve(places=32, slow=(50, 5.0))
        hedge, none = bench.ours(search, {"hedge": True}), bench.ours(search)
        peer = min(bench.bare(search, threads).seconds for threads in FIXED)
    what = "MIPROv2 light, one call in fifty slower by 5 s"
    return [
        _seconds(f"{what}, hedge", hedge, 1.5 * plain.course.seconds, "1.5 x without such calls"),
        _seconds(f"{what}, no hedge", none, peer, "bare, best of fixed"),
    ]


def overhead() -> list[Figure]:
    """What a job takes beyond the bare script: in all, and for each further row; what is left is its start and end."""
    search, threads, figures = SEARCHES["BootstrapRS 10"], FIXED[0], []
    with _bench() as bench:
        bench.serve(latency=SHORT)
        ours, peer = bench.ours(search, {"threads": threads}), bench.bare(search, threads)
        figures.append(_seconds(f"BootstrapRS 10, {SHORT * 1000:g} ms a call", ours, 1.1 * peer.seconds, "1.1 x bare"))
        score, few, many = Search(EVALUATE, {}), {"test": 200}, {"test": 1200}
        took = [bench.ours(score, {"threads": threads}, rows).course.seconds for rows in (few, many)]
        bare_took = [bench.bare(score, threads, rows).seconds for rows in (few, many)]
    figures.append(
        Figure(
            f"a further row scored, {SHORT * 1000:g} ms a call",
            took[1] - took[0],
            "ms",
            most=1.1 * (bare_took[1] - bare_took[0]),
            peer="1.1 x bare",
        )
    )
    start, bare_start = (each[0] - (each[1] - each[0]) / 5 for each in (took, bare_took))
    figures.append(
        Figure("start and end of a job", start * 1000, "ms", most=bare_start * 1000 + 500, peer="bare + 500 ms")
    )
    return figures


def _beside_fixed(places: int, allowed: float, of_default: Mapping[str, float]) -> list[Figure]:
    figures: list[Figure] = []
    with _bench() as bench:
        for name, search in SEARCHES.items():
            bench.serve(places=places)
            ours = bench.ours(search)
            fixed = {threads: bench.bare(search, threads) for threads in FIXED}
            figures += _compared(name, places, ours, fixed, allowed)
            if name in of_default:
                most, peer = (
                    of_default[name] * fixed[8].seconds,
                    f"{of_default[name]:g} x bare with 8, its default",
                )
                figures.append(_seconds(f"{name}, {places} places", ours, most, peer))
    return figures


def _compared(name: str, places: int, ours: Ours, fixed: Mapping[int, Course], allowed: float) -> Iterator[Figure]:
    what, limit = f"{name}, {places} places", ours.calls * LATENCY / places
    whole = {threads: course for threads, course in fixed.items() if not course.lost} or fixed
    best = min(whole, key=lambda threads: whole[threads].seconds)
    lost = ", ".join(f"{course.lost} with {threads}" for threads, course in fixed.items())
    took = ", ".join(f"{course.seconds:.1f} with {threads}" for threads, course in fixed.items())
    yield Figure(f"{what}: calls lost", ours.course.lost, "", most=0, peer=f"bare: {lost}")
    peer = f"{allowed:g} x bare with {best}; {took}; limit {limit:.1f}"
    yield _seconds(what, ours, allowed * whole[best].seconds, peer)


def _seconds(what: str, ours: Ours, most: float, peer: str) -> Figure:
    return Figure(f"{what} (found {ours.threads} threads)", ours.course.seconds, "s", most=most, peer=peer)


@dataclass(frozen=True)
class _Bench:
    forge: OptimizerForge
    server: ScriptedServer
    folder: Path

    def serve(self, places: int = 10**6, latency: float = LATENCY, slow: tuple[int, float] | None = None) -> None:
        self.server.reset()
        self.server.places, self.server.latency, self.server.slow = places, latency, slow
        self.server.retry_after = "1"

    def ours(self, search: Search, run: Mapping[str, Any] | None = None, rows: Mapping[str, int] = ROWS) -> Ours:
        spec = make_spec(
            self.server.url,
            optimizer={"name": _name(search), "kwargs": dict(search.kwargs)},
            metric={"code": GEPA_METRIC},
            split={"column": "part", "seed": 7},
            run=dict(run or {}),
        )
        folders = make_folders(self._empty("ours"), spec, _rows(rows))
        calls, began = self.server.stats.calls, time.perf_counter()
        if self.forge.start(folders).wait(600):
            raise SystemExit("the job failed")
        seconds, result = time.perf_counter() - began, folders.result()
        if result["outcome"] != "Succeeded":
            raise SystemExit(f"the job failed: {result['message']}")
        details = result["details"]
        return Ours(Course(seconds, details["model_errors"]), self.server.stats.calls - calls, details["threads"])

    def bare(self, search: Search, threads: int, rows: Mapping[str, int] = ROWS) -> Course:
        work = self._empty("bare")
        work.mkdir()
        (work / "code.py").write_text(SIGNATURE + GEPA_METRIC)
        (work / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in _rows(rows)))
        return bare(search, work, self.server.url, threads)

    def _empty(self, name: str) -> Path:
        return self.folder / f"{name}-{len(list(self.folder.iterdir()))}"


@contextmanager
def _bench() -> Iterator[_Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        OptimizerForge() as forge,
        ScriptedServer(_rows({"test": max(ROWS["train"] * 3, 1200)})) as server,
    ):
        bench = _Bench(forge, server, Path(folder))
        bench.ours(Search(EVALUATE, {}), rows={"test": 2})  # the forge has imported dspy
        yield bench


def _name(search: Search) -> str:
    return search.optimizer if search.optimizer == EVALUATE else f"dspy.{search.optimizer}"


def _rows(counts: Mapping[str, int]) -> Sequence[Mapping[str, str]]:
    parts = [part for part, count in counts.items() for _ in range(count)]
    return [
        {"text": f"row {number}: {LABELS[number % 2]}", "label": LABELS[number % 2], "part": part}
        for number, part in enumerate(parts)
    ]
