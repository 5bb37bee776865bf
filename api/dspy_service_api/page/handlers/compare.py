"""Jobs side by side: verdicts, scores, settings that differ, usage; of two also prompts, the better program, and rows
that flip."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.views.figures import mapping
from dspy_service_api.page.views.paired import Paired, Scored, final, paired, scored
from dspy_service_api.page.views.prompts import predictors
from dspy_service_api.page.views.settings import differing
from dspy_service_api.page.views.summaries import head_of
from dspy_service_api.page.visit import Visit

MOST = 6
_PAGE = 2000
"""Test rows that are read at a time; of each no more than its score is kept."""
_SHOWN = 50


async def compare(visit: Visit) -> Response:
    job_ids = list(dict.fromkeys(visit.request.query_params.getlist("job")))[:MOST]
    if len(job_ids) < 2:
        raise Refused(400, {"detail": "Select two or more jobs in the list, then compare them."})
    contract = visit.contract
    jobs = await asyncio.gather(*(_job(contract, job_id) for job_id in job_ids))
    both = await _both(contract, jobs) if len(jobs) == 2 else Paired(())
    states = [mapping(job["artifact"]).get("program_state") for job in jobs]
    found = await asyncio.to_thread(predictors, *states) if len(jobs) == 2 and all(states) else []
    return visit.show(
        "compare.html",
        jobs=jobs,
        differences=differing([job["payload"] or {} for job in jobs]),
        predictors=found,
        both=both,
        flips=await _flips(contract, job_ids, both),
    )


async def _job(contract: Contract, job_id: str) -> dict[str, Any]:
    summary = await contract.summary(job_id)
    artifact, payload = await asyncio.gather(contract.artifact(job_id), contract.payload(job_id))
    return {"head": head_of(summary), "summary": summary, "artifact": artifact, "payload": payload}


async def _both(contract: Contract, jobs: Sequence[Mapping[str, Any]]) -> Paired:
    first, second = await asyncio.gather(*(_scored(contract, job["head"].job_id) for job in jobs))
    return await asyncio.to_thread(paired, first, second, [job["payload"] for job in jobs])


async def _scored(contract: Contract, job_id: str) -> list[Scored]:
    """All of them: a verdict on a part of the rows would be another one."""
    found: list[Scored] = []
    while page := await contract.rows(job_id, "all", found[-1].n if found else None, _PAGE):
        found += await asyncio.to_thread(scored, page)
        if len(page) < _PAGE:
            break
    return found


async def _flips(contract: Contract, job_ids: Sequence[str], both: Paired) -> list[dict[str, Any]]:
    """The first ones, with their texts."""
    found = []
    for pair in both.flips[:_SHOWN]:
        first, second = [await _row(contract, job_id, row.n) for job_id, row in zip(job_ids, pair, strict=True)]
        if first and second:
            better = int((pair[1].score or 0.0) > (pair[0].score or 0.0))
            found.append(first | {"answers": [final(first), final(second)], "better": better})
    return found


async def _row(contract: Contract, job_id: str, n: int) -> dict[str, Any] | None:
    found = await contract.rows(job_id, "all", n - 1 if n else None, 1)
    return found[0] if found and found[0]["n"] == n else None
