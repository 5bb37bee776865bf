"""For whoever operates the service: what waits, what runs and how slowly, what failed of what, which versions."""

import asyncio
from collections import Counter

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.views.summaries import JobHead, head_of
from dspy_service_api.page.visit import Visit

_MOST = 500
_SHOWN = 20


async def health(visit: Visit) -> Response:
    contract = visit.contract
    waiting, validating, running, failed, catalogue, state = await asyncio.gather(
        *(_with(contract, status) for status in ("pending", "validating", "running", "failed")),
        contract.get("/catalogue"),
        _state(contract),
    )
    slowest = sorted(running, key=lambda head: head.elapsed or 0.0, reverse=True)
    reasons = Counter(_reason(head) for head in failed).most_common(_SHOWN)
    return visit.show(
        "health.html",
        waiting=sorted(waiting, key=lambda head: str(head.summary["created_at"]))[:_SHOWN],
        counts={"pending": len(waiting), "validating": len(validating), "running": len(running), "failed": len(failed)},
        most=_MOST,
        slowest=slowest[:_SHOWN],
        reasons=reasons,
        examples={_reason(head): head for head in reversed(failed)},
        catalogue=catalogue,
        state=state,
    )


async def _with(contract: Contract, status: str) -> list[JobHead]:
    found = await contract.get("/jobs", {"status": status, "limit": str(_MOST)})
    return [head_of(summary) for summary in found["jobs"]]


async def _state(contract: Contract) -> str:
    try:
        return str((await contract.get("/health"))["status"])
    except Refused as exc:
        return exc.detail


def _reason(head: JobHead) -> str:
    """Its first words: what follows a colon is the one job's own."""
    return str(head.summary["message"]).partition("\n")[0].partition(":")[0][:120]
