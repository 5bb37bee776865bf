"""Jobs of the largest and the smallest kind, held by a real API service: what their pages must still be usable with.

Nothing of them ran: their resources and what lies in the store are as the reporter leaves them. `large` and `other`
have 10,000 test rows, 5,000 events, 5,000 lines of log and 300 candidates with prompts of 100 KB, in scripts that are
written from the right, without spaces or without a break; `searching` has them while it still runs. `single` has one
row.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from anyio.from_thread import start_blocking_portal

from api_service import (
    Harness,
    api_service,
    entries,
    put_artifact,
    put_result,
    put_segment,
    running,
    succeeded,
)
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource import names
from limited_server import limited
from payloads import payload

ROWS = 10_000
EVENTS = 5_000
CANDIDATES = 300
_AT_ONCE = 50
RIGHT_TO_LEFT = "שלום לכם, שלחו את ההודעה לצוות المحاسبة من فضلك"
WITHOUT_SPACES = "顧客からの問い合わせを担当チームに振り分けてください。机器学习优化服务。"
WITHOUT_BREAK = "x" * 400
TEXTS = (RIGHT_TO_LEFT, WITHOUT_SPACES, WITHOUT_BREAK)


@dataclass(frozen=True)
class Heavy:
    """The jobs' addresses."""

    url: str
    large: str
    other: str
    searching: str
    single: str


@contextmanager
def heavy_jobs(folder: Path) -> Iterator[Heavy]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_served(folder)) as found:
        yield found


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[Heavy]:
    async with api_service(folder, CoreAcceptance.from_settings(Settings())) as api:
        large, other = await _large(api, "large", 1), await _large(api, "other", 2)
        searching = await api.job("searching", running(EVENTS, EVENTS, candidates=CANDIDATES))
        _put_search(api, searching)
        await _single(api)
        async with limited(api.app, ConnectionLimits()) as server:
            yield Heavy(f"http://127.0.0.1:{server.port}", large, other, "searching", "single")


def prompt(last: str) -> str:
    """100 KB of rules."""
    rules = [f"{TEXTS[n % 2]} {n}" for n in range(1100)]
    return "\n".join([*rules, last])


async def _large(api: Harness, called: str, every: int) -> str:
    """Sent as a client does, so that it can be sent again with all its rows."""
    body = payload(2 * ROWS, "http://127.0.0.1:9/v1", run_options={"name": called, "note": RIGHT_TO_LEFT})
    sent = await api.client.post("/run", content=body)
    assert sent.status_code == 200, sent.text
    job_id: str = sent.json()["job_id"]
    compared = {
        "difference": "10.0", "interval": ["9.4", "10.6"], "confidence": "0.95", "method": "student_t_two_pseudo_rows",
        "rows": ROWS, "won": ROWS // 10, "lost": 0, "tied": ROWS - ROWS // 10, "failedRows": 0,
    }  # fmt: skip
    counts = {"train": ROWS, "val": 0, "test": ROWS}
    told = {"verdict": "improved", "comparison": compared, "splitCounts": counts}
    status = succeeded(EVENTS, EVENTS, job_id=job_id, **told)
    status["run"]["candidates"] = CANDIDATES
    job = await api.update(names.api_job(job_id), {"status": status})
    _put_search(api, job)
    put_result(api.store, job, details={"best_so_far": [[n, n / 50] for n in range(EVENTS)]})
    put_artifact(api.store, job, contents=_files([_row(n, won=n % (10 * every) == 0) for n in range(ROWS)]))
    return job_id


async def _single(api: Harness) -> None:
    """Scored and not optimized: one row is too few for more."""
    told = {"verdict": "unknown", "optimizedScore": None, "splitCounts": {"train": 0, "val": 0, "test": 1}}
    sent: dict[str, Any] = {
        "dataset": {"rows": [{"text": RIGHT_TO_LEFT, "team": "a"}]},
        "optimizer": {"name": "evaluate", "kwargs": {"auto": None}},
        "split": {"train": "0", "val": "0", "test": "1"},
    }
    job = await api.job("single", succeeded(**told), **sent)
    put_result(api.store, job)
    put_artifact(api.store, job, contents=_files([_row(0, won=False) | {"outcome": None, "optimized": None}]))


def _put_search(api: Harness, job: Object) -> None:
    logs, told = entries(EVENTS), _events()
    for n, entry in enumerate(logs):
        entry["message"] = f"{entry['message']} {TEXTS[n % 3]}"
    put_segment(api.store, job, "logs", logs)
    put_segment(api.store, job, "events", told)
    for first in range(1, CANDIDATES + 1, _AT_ONCE):
        put_segment(api.store, job, "candidates", [_tried(n) for n in range(first, first + _AT_ONCE)], first=first)


def _events() -> list[dict[str, Any]]:
    stamp = "2026-03-01T09:30:00.000Z"
    return [
        {"timestamp": stamp, "event": "optimizer_progress", "metrics": {"tqdm_n": n, "best_score": n / 50}}
        for n in range(1, EVENTS + 1)
    ]


def _tried(n: int) -> dict[str, Any]:
    changes = {"predict": {"instructions": prompt(f"{WITHOUT_SPACES} {n}"), "demos": None}}
    known = {"at_call": n * 16, "score": n / 3, "rows": 6, "accepted": n % 3 > 0, "changes": changes}
    return {"parents": [n // 2] if n > 1 else [], **known}


def _row(n: int, *, won: bool) -> dict[str, Any]:
    answer = {"prediction": {"team": TEXTS[n % 3]}, "score": 0.0, "error": None}
    return {
        "n": n, "outcome": "won" if won else "tied", "inputs": {"text": f"{TEXTS[n % 3]} {n}"},
        "gold": {"team": RIGHT_TO_LEFT}, "baseline": answer, "optimized": answer | {"score": float(won)},
    }  # fmt: skip


def _files(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    messages = [{"role": "system", "content": prompt(RIGHT_TO_LEFT)}, {"role": "user", "content": WITHOUT_BREAK}]
    return {
        "rows.jsonl": b"\n".join(map(orjson.dumps, rows)),
        "baseline.json": _state(prompt("one")),
        "program.json": _state(prompt("two")),
        "messages.json": orjson.dumps({"adapter": "chat", "predictors": {"predict": {"messages": messages}}}),
    }


def _state(instructions: str) -> bytes:
    demos = [{"text": text, "team": text} for text in TEXTS]
    return orjson.dumps({"predict": {"demos": demos, "signature": {"instructions": instructions}}})
