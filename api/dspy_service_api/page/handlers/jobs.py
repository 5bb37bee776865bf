"""The list of jobs: filters and words in the address, pages by cursor, rows that are kept up to date."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from cachetools import LRUCache
from markupsafe import Markup
from starlette.responses import Response

from dspy_service_api.page.render import rendered
from dspy_service_api.page.views.summaries import ENDED, STATUSES, VERDICTS, head_of
from dspy_service_api.page.visit import Visit, params_of

_PAGE = 50
_FILTERS = ("status", "verdict", "optimizer", "name", "label", "words")


@dataclass(frozen=True, slots=True)
class Row:
    """Of the list, but for the age, which alone is another one each time."""

    html: Markup
    created_at: str
    ended: bool


_kept: LRUCache[bytes, Row] = LRUCache(1000)
"""By the digest of the summary that they show: most rows were shown before, and open lists ask every two seconds."""


async def jobs(visit: Visit) -> Response:
    asked = params_of(visit.request)
    filters = {name: asked[name] for name in _FILTERS if name in asked}
    found = await visit.contract.get("/jobs", {**filters, "cursor": asked.get("cursor"), "limit": _PAGE})
    digests = [sha256(repr(summary).encode()).digest() for summary in found["jobs"]]
    following = urlencode({**filters, "cursor": found["next_cursor"]}) if found["next_cursor"] else ""
    tag = sha256(b"".join(digests)).hexdigest()[:16]
    if visit.is_fragment and visit.request.query_params.get("seen") == tag:
        return visit.show("nothing_new.html", 204)
    rows = [_row(digest, summary) for digest, summary in zip(digests, found["jobs"], strict=True)]
    here = urlencode({name: value for name, value in asked.items() if name != "seen"})
    return visit.show(
        "jobs_part.html" if visit.is_fragment else "jobs.html",
        rows=rows,
        asked=asked,
        filters=filters,
        following=following,
        here=here,
        tag=tag,
        live=any(not row.ended for row in rows) or "cursor" not in asked,
        statuses=STATUSES,
        verdicts=VERDICTS,
    )


def _row(digest: bytes, summary: Mapping[str, Any]) -> Row:
    if (row := _kept.get(digest)) is None:
        html = Markup(rendered("jobs_row.html", {"head": head_of(summary)}))  # the template has escaped it
        row = _kept[digest] = Row(html, summary["created_at"], summary["status"] in ENDED)
    return row
