"""A job's pages: what happens and what was found, its rows, its log, its prompts, how it was set."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from dspy_service_api.page.contract import Refused, name
from dspy_service_api.page.handlers import actions
from dspy_service_api.page.views import commands
from dspy_service_api.page.views.candidates import beside, lineage, parents_of
from dspy_service_api.page.views.curve import curve_of
from dspy_service_api.page.views.figures import mapping
from dspy_service_api.page.views.prompts import predictors
from dspy_service_api.page.views.rows import WHICH
from dspy_service_api.page.views.settings import LONG, flat
from dspy_service_api.page.views.summaries import JobHead, head_of
from dspy_service_api.page.visit import Visit, params_of

_LOG_LINES = 300
_ROWS = 50
_TAIL = 12
_CANDIDATES = 50
_NO_ENTRIES = "e999999999.l999999999"
"""Where a stream begins that brings no events and no log."""
_BAR = "%|"
"""In every line that tqdm prints: there is a bar of ours already."""
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


async def overview(visit: Visit, job_id: str) -> Response:
    contract = visit.contract
    summary, detail = await asyncio.gather(contract.summary(job_id), contract.detail(job_id))
    tried = await contract.candidates(summary["job_id"], detail["candidates_count"])
    head, result = head_of(summary), mapping(detail["result"])
    details, artifact = mapping(result.get("details")), mapping(result.get("program_artifact"))
    changed = await contract.rows(head.job_id, "changed", None, 6) if head.ended else []
    return visit.show(
        "job.html",
        **_common(visit, head, "overview"),
        curve=curve_of(detail["progress_events"], details, tried),
        details=details,
        comparison=mapping(details.get("comparison")),
        result=result,
        changed_rows=changed,
        predictors=await asyncio.to_thread(predictors, artifact.get("baseline_state"), artifact.get("program_state")),
        log=[entry for entry in detail["logs"][-_TAIL * 4 :] if _BAR not in entry["message"]][-_TAIL:],
        at=_at(detail),
        may=await actions.allowed(visit, head.job_id),
        lines=commands.watch(_url(visit), head.job_id, visit.page.asks_for_token),
        program_lines=commands.program(_url(visit), head.job_id, visit.page.asks_for_token),
        again_lines=commands.again(_url(visit), head.job_id, visit.page.asks_for_token),
    )


async def live(visit: Visit, job_id: str) -> Response:
    """The part of the overview that changes while a job runs."""
    contract = visit.contract
    summary = await contract.summary(job_id)
    head = head_of(summary)
    if head.ended:  # much of the page is new then
        return visit.show("job_ended_part.html", head=head)
    tried = await contract.candidates(head.job_id, summary["candidates_count"])
    events = [] if tried else await contract.get(f"/jobs/{name(head.job_id)}/events")
    return visit.show("job_live.html", head=head, curve=curve_of(events, {}, tried), details={}, comparison={})


async def candidates(visit: Visit, job_id: str) -> Response:
    """A page of the lineage, which follows the search while it goes on."""
    summary = await visit.contract.summary(job_id)
    head, asked = head_of(summary), params_of(visit.request).get("from", "")
    begin = int(asked) if asked.isdigit() and len(asked) < 10 else 0
    lines = lineage(await visit.contract.candidates(head.job_id, summary["candidates_count"]))
    return visit.show(
        "candidates.html",
        **_common(visit, head, "candidates"),
        lines=lines[begin : begin + _CANDIDATES],
        begin=begin,
        known=len(lines),
        count=summary["candidates_count"],
        earlier=max(begin - _CANDIDATES, 0) if begin else None,
        later=begin + _CANDIDATES if begin + _CANDIDATES < len(lines) else None,
        after=f"{_NO_ENTRIES}.c{summary['candidates_count']}",
    )


async def candidate(visit: Visit, job_id: str, number: str) -> Response:
    """What one of them says, beside its parents and the program as given."""
    contract = visit.contract
    head = head_of(await contract.summary(job_id))
    n = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    found = await contract.candidate(head.job_id, n)
    if found is None:
        raise Refused(404, {"detail": f"The search has not tried a candidate {number}.", "code": "unknown_candidate"})
    earlier = [await contract.candidate(head.job_id, parent) for parent in parents_of(found)]
    given = mapping(await contract.artifact(head.job_id)).get("baseline_state") if head.ended else None
    known = [parent for parent in earlier if parent]
    return visit.show(
        "candidate.html",
        **_common(visit, head, "candidates"),
        candidate=found,
        given_known=bool(given),
        texts=await asyncio.to_thread(beside, found, given, known),
    )


async def rows(visit: Visit, job_id: str) -> Response:
    asked = params_of(visit.request)
    which = asked["which"] if asked.get("which") in WHICH else "all"
    after = int(asked["after"]) if asked.get("after", "").isdigit() else None
    head = head_of(await visit.contract.summary(job_id))
    found = await visit.contract.rows(head.job_id, which, after, _ROWS + 1)
    page = found[:_ROWS]
    following = urlencode({"which": which, "after": page[-1]["n"]}) if len(found) > _ROWS else ""
    return visit.show(
        "rows.html", **_common(visit, head, "rows"), rows=page, which=which, kinds=WHICH, following=following
    )


async def log(visit: Visit, job_id: str) -> Response:
    asked = params_of(visit.request)
    head = head_of(await visit.contract.summary(job_id))
    entries = await visit.contract.get(f"/jobs/{name(head.job_id)}/logs")
    wanted = [entry for entry in entries if _is_wanted(entry, asked)]
    return visit.show(
        "log.html",
        **_common(visit, head, "log"),
        entries=wanted[-_LOG_LINES:],
        left_out=max(len(wanted) - _LOG_LINES, 0),
        levels=_LEVELS,
        asked=asked,
        after=f"e0.l{len(entries)}.c{head.summary['candidates_count']}",
    )


async def prompts(visit: Visit, job_id: str) -> Response:
    head = head_of(await visit.contract.summary(job_id))
    artifact = mapping(await visit.contract.artifact(head.job_id))
    found = await asyncio.to_thread(predictors, artifact.get("baseline_state"), artifact.get("program_state"))
    return visit.show(
        "prompts.html",
        **_common(visit, head, "prompts"),
        predictors=found,
        messages=mapping(mapping(artifact.get("messages")).get("predictors")),
    )


async def settings(visit: Visit, job_id: str) -> Response:
    contract = visit.contract
    head = head_of(await contract.summary(job_id))
    payload, events = await asyncio.gather(
        contract.payload(head.job_id), contract.get(f"/jobs/{name(head.job_id)}/events", {"limit": 5000})
    )
    given = payload or {}
    return visit.show(
        "settings.html",
        **_common(visit, head, "settings"),
        known=payload is not None,
        settings=flat(given),
        code={each: given[each] for each in LONG if isinstance(given.get(each), str)},
        dataset=given.get("dataset") or [],
        events=[each for each in events if each["event"] != "optimizer_progress"],
        progress_events=sum(each["event"] == "optimizer_progress" for each in events),
    )


def _common(visit: Visit, head: JobHead, place: str) -> dict[str, Any]:
    return {"head": head, "place": place}


def _is_wanted(entry: Mapping[str, Any], asked: Mapping[str, str]) -> bool:
    level, words = asked.get("level", ""), asked.get("words", "").lower().split()
    if level in _LEVELS and entry["level"] in _LEVELS and _LEVELS.index(entry["level"]) < _LEVELS.index(level):
        return False
    said = f"{entry['logger']} {entry['message']}".lower()
    return all(word in said for word in words)


def _at(detail: Mapping[str, Any]) -> str:
    """Where the page's stream begins: after what it shows already. At the limit of the newest entries their numbers
    are not known, and what the page has is only looked at again."""
    return f"e{len(detail['progress_events'])}.l{len(detail['logs'])}.c{detail['candidates_count']}"


def _url(visit: Visit) -> str:
    return str(visit.request.base_url).rstrip("/")
