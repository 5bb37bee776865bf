"""The list of jobs: filters and words in the address, pages by cursor, rows that are kept up to date."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from dspy_service_api.page.contract import Contract
from dspy_service_api.page.views.summaries import ENDED, STATUSES, VERDICTS, head_of
from dspy_service_api.page.visit import Visit, params_of

_PAGE = 50
_FILTERS = ("status", "verdict", "optimizer", "name", "label")
_LOOKED_THROUGH = 2000
"""Jobs, at most, for a search by words; the next page goes on from there."""


async def jobs(visit: Visit) -> Response:
    asked = params_of(visit.request)
    found = await _found(visit.contract, asked)
    heads = [head_of(summary) for summary in found["jobs"]]
    filters = {name: asked[name] for name in (*_FILTERS, "words") if name in asked}
    following = urlencode({**filters, "cursor": found["next_cursor"]}) if found["next_cursor"] else ""
    tag = _tag(heads)
    if visit.is_fragment and visit.request.query_params.get("seen") == tag:
        return visit.show("nothing_new.html", 204)
    here = urlencode({name: value for name, value in asked.items() if name != "seen"})
    return visit.show(
        "jobs_part.html" if visit.is_fragment else "jobs.html",
        heads=heads,
        asked=asked,
        filters=filters,
        following=following,
        here=here,
        tag=tag,
        live=any(head.status not in ENDED for head in heads) or "cursor" not in asked,
        statuses=STATUSES,
        verdicts=VERDICTS,
    )


async def _found(contract: Contract, asked: Mapping[str, str]) -> Any:
    words = asked.get("words", "").lower().split()
    params = {name: asked[name] for name in (*_FILTERS, "cursor") if name in asked}
    if not words:
        return await contract.get("/jobs", params | {"limit": str(_PAGE)})
    kept: list[Any] = []
    cursor: str | None = params.get("cursor")
    for _ in range(_LOOKED_THROUGH // 500):
        page = await contract.get("/jobs", {**params, "cursor": cursor, "limit": "500"})
        kept += [job for job in page["jobs"] if all(word in _text(job) for word in words)]
        cursor = page["next_cursor"]
        if cursor is None or len(kept) >= _PAGE:
            break
    return {"jobs": kept, "next_cursor": cursor}


def _text(job: Mapping[str, Any]) -> str:
    words = ("job_id", "name", "note", "status", "verdict", "optimizer_name", "module_name", "model_name", "message")
    return " ".join(str(job.get(word) or "") for word in words).lower()


def _tag(heads: list[Any]) -> str:
    """Of what the rows show, but for the time that has passed."""
    return sha256(repr([head.summary for head in heads]).encode()).hexdigest()[:16]
