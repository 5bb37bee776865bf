"""The list of jobs: filters and words in the address, pages by cursor, rows that are kept up to date."""

from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from dspy_service_api.page.views.summaries import ENDED, STATUSES, VERDICTS, head_of
from dspy_service_api.page.visit import Visit, params_of

_PAGE = 50
_FILTERS = ("status", "verdict", "optimizer", "name", "label", "words")


async def jobs(visit: Visit) -> Response:
    asked = params_of(visit.request)
    filters = {name: asked[name] for name in _FILTERS if name in asked}
    found = await visit.contract.get("/jobs", {**filters, "cursor": asked.get("cursor"), "limit": _PAGE})
    heads = [head_of(summary) for summary in found["jobs"]]
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


def _tag(heads: list[Any]) -> str:
    """Of what the rows show, but for the time that has passed."""
    return sha256(repr([head.summary for head in heads]).encode()).hexdigest()[:16]
