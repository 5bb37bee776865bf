"""For whoever operates the service: what waits, what runs and how slowly, what failed of what, which versions."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.views.summaries import JobHead, head_of
from dspy_service_api.page.visit import Visit

Summary = Mapping[str, Any]
_MOST = 500
_SHOWN = 20


async def health(visit: Visit) -> Response:
    contract = visit.contract
    waiting, validating, running, failed, catalogue, state = await asyncio.gather(
        *(_with(contract, status) for status in ("pending", "validating", "running", "failed")),
        contract.get("/catalogue"),
        _state(contract),
    )
    paused = sum(each["paused"] for each in waiting)
    newest = {_reason(each): each for each in reversed(failed)}
    reasons = Counter(map(_reason, failed)).most_common(_SHOWN)
    return visit.show(
        "health.html",
        waiting=_heads(sorted((each for each in waiting if not each["paused"]), key=_created)),
        counts={"pending": len(waiting), "validating": len(validating), "running": len(running), "failed": len(failed)},
        most=_MOST,
        slots=len(validating) + len(running),
        queue=len(waiting) - paused,
        paused=paused,
        slowest=_heads(sorted(running, key=_started)),
        reasons=reasons,
        examples={reason: head_of(newest[reason]) for reason, _ in reasons},
        catalogue=catalogue,
        state=state,
    )


async def _with(contract: Contract, status: str) -> list[Summary]:
    found: list[Summary] = (await contract.get("/jobs", {"status": status, "limit": _MOST}))["jobs"]
    return found


def _heads(summaries: list[Summary]) -> list[JobHead]:
    """Of the few that are shown."""
    return [head_of(summary) for summary in summaries[:_SHOWN]]


def _created(summary: Summary) -> str:
    return str(summary["created_at"])


def _started(summary: Summary) -> str:
    return str(summary["started_at"] or summary["created_at"])


async def _state(contract: Contract) -> str:
    try:
        return str((await contract.get("/health"))["status"])
    except Refused as exc:
        return exc.detail


def _reason(summary: Summary) -> str:
    """Its first words: what follows a colon is the one job's own."""
    return str(summary["message"]).partition("\n")[0].partition(":")[0][:120]
