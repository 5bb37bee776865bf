"""Jobs side by side: verdicts, scores, settings that differ, prompts, usage, and the rows that flip between two."""

import asyncio
from typing import Any

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.views.figures import mapping
from dspy_service_api.page.views.prompts import predictors
from dspy_service_api.page.views.rows import Paired, paired
from dspy_service_api.page.views.settings import differing
from dspy_service_api.page.views.summaries import head_of
from dspy_service_api.page.visit import Visit

MOST = 6
_ROWS = 5000
_SHOWN = 100


async def compare(visit: Visit) -> Response:
    job_ids = list(dict.fromkeys(visit.request.query_params.getlist("job")))[:MOST]
    if len(job_ids) < 2:
        raise Refused(400, {"detail": "Select two or more jobs in the list, then compare them."})
    contract = visit.contract
    jobs = await asyncio.gather(*(_job(contract, job_id) for job_id in job_ids))
    both = Paired(0, ())
    if len(jobs) == 2:
        first, second = await asyncio.gather(*(contract.rows(job_id, "all", None, _ROWS) for job_id in job_ids))
        both = await asyncio.to_thread(paired, first, second) if first and second else both
    states = [mapping(job["artifact"]).get("program_state") for job in jobs]
    found = await asyncio.to_thread(predictors, *states) if len(jobs) == 2 and all(states) else []
    return visit.show(
        "compare.html",
        jobs=jobs,
        differences=differing([job["payload"] or {} for job in jobs]),
        predictors=found,
        both=both,
        flips=both.flips[:_SHOWN],
    )


async def _job(contract: Contract, job_id: str) -> dict[str, Any]:
    summary = await contract.summary(job_id)
    artifact, payload = await asyncio.gather(contract.artifact(job_id), contract.payload(job_id))
    return {"head": head_of(summary), "summary": summary, "artifact": artifact, "payload": payload}
