"""All routes below /jobs."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from dspy_service_api.answers import error_codes, present
from dspy_service_api.answers.listing import Wanted, labels_of, list_jobs
from dspy_service_api.answers.schemas.jobs import JobDetail, JobList, JobSummary, RecordKept
from dspy_service_api.answers.schemas.results import ArtifactAnswer, ScoredRows
from dspy_service_api.answers.schemas.submits import Payload
from dspy_service_api.answers.schemas.transcripts import Candidates, LogEntries, ProgressEvents
from dspy_service_api.control.control import Verb
from dspy_service_api.http.access.permissions import needs
from dspy_service_api.http.routes import examples
from dspy_service_api.http.routes.answers import Declared, declared, errors, ready
from dspy_service_api.http.routes.conditional import PARAMETERS, conditional, respond
from dspy_service_api.http.routes.direct import DirectRoute
from dspy_service_api.http.routes.query import flag, flag_parameter
from dspy_service_api.http.routes.warning import warning
from dspy_service_api.jobs.rows import Which
from dspy_service_api.jobs.transcript import Kind
from dspy_service_api.service import Service, service_of
from dspy_service_core.records.run import Verdict
from dspy_service_core.resource.status import StatusWord

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=DirectRoute)

_REMOVED: Declared = {204: {"description": "The job is gone, its artifact too."}}
_KEPT = declared(
    RecordKept,
    examples.RECORD_KEPT,
    "The job is stopped and what it stored is gone, but finalizers that somebody gave it keep its record: it is "
    "`cancelled`, or as it had ended, until they are removed.",
    status=202,
)
_NAMED = "The UUID that POST /run answered, the name of a resource, or what the job is called: the newest that is."
JobId = Annotated[str, Path(description="The UUID that POST /run answered, or the name of a resource.")]
Named = Annotated[str, Path(description=_NAMED)]
After = Annotated[
    int | None, Query(ge=0, le=2**53, description="Only entries with a higher number: the last `n` of the page before.")
]
_WHICH = "Rows won or lost or tied, changed (won or lost), failed (with one of the programs), or all."
_BEST = flag_parameter("best", "Whether the best program so far will do.")
_BRIEF = flag_parameter(
    "brief", "Whether to leave out `changes`, which may be long: what a curve or a list of them needs."
)
Limit = Annotated[int | None, Query(ge=1, le=5000, description="The most entries of a page.")]


@router.get(
    "",
    summary="List jobs, newest first",
    response_model=None,
    responses=declared(JobList, examples.LISTING, "A page of summaries.") | errors(error_codes.INVALID_REQUEST),
)
@needs("list")
async def jobs(
    request: Request,
    status: Annotated[StatusWord | None, Query(description="Only jobs with this status.")] = None,
    optimizer: Annotated[str | None, Query(description="Only jobs with this optimizer, as they named it.")] = None,
    verdict: Annotated[Verdict | None, Query(description="Only jobs that ended with this verdict.")] = None,
    name: Annotated[
        str | None, Query(description="Only jobs that are called so, ended ones among them: the newest first.")
    ] = None,
    label: Annotated[
        list[str] | None, Query(description="Only jobs with this label, as key=value; several must all match.")
    ] = None,
    words: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Only jobs that say all of these words, parts of words too, in id, name, note, status, "
            "verdict, optimizer, module, model or message. It looks through 2,000 jobs at a time: a page "
            "may have fewer than `limit`, or none, and only a `next_cursor` of null ends the list.",
        ),
    ] = None,
    limit: Annotated[int | None, Query(ge=1, le=500, description="At most so many jobs.")] = None,
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the page before.")] = None,
) -> Response:
    service = service_of(request)
    service.require_ready()
    limit = limit or service.settings.list_limit
    wanted = Wanted(limit, status, optimizer, verdict, name, labels_of(label or []), cursor, _words(words))
    return ready(list_jobs(service.cache, wanted))


def _words(given: str | None) -> tuple[str, ...]:
    return tuple((given or "").lower().split())


@router.get(
    "/{job_id}",
    summary="A job with its events, log and result",
    response_model=None,
    responses=conditional(declared(JobDetail, examples.SUCCEEDED, "The job."))
    | errors(error_codes.UNKNOWN_JOB, error_codes.STORE_UNAVAILABLE),
    openapi_extra=PARAMETERS,
)
@needs("get")
async def job(request: Request, job_id: Named) -> Response:
    return respond(request, await service_of(request).jobs.detail(job_id))


@router.delete(
    "/{job_id}",
    summary="Stop and remove a job",
    status_code=204,
    response_model=None,
    responses=_REMOVED | _KEPT | errors(error_codes.UNKNOWN_JOB),
)
@needs("delete")
async def remove(request: Request, job_id: JobId) -> Response:
    kept_by = await service_of(request).removals.remove(job_id)
    return ready(present.record_kept(kept_by), status=202) if kept_by else Response(status_code=204)


def _controlled(verb: Verb, title: str, description: str) -> None:
    """Declares `POST /jobs/{id}/<verb>`: all four ask for the same permission and answer alike."""

    @router.post(
        f"/{{job_id}}/{verb}",
        operation_id=verb,
        summary=title,
        description=f"{description} May be repeated. A job that has ended in another way refuses it.",
        status_code=202,
        response_model=None,
        responses=declared(JobSummary, examples.SUMMARY, "The job in short, as asked.", status=202)
        | errors(error_codes.UNKNOWN_JOB, error_codes.JOB_ENDED),
    )
    @needs("update", "control")
    async def control(request: Request, job_id: JobId) -> Response:
        service = service_of(request)
        record = await service.control.ask(job_id, verb)
        return ready(present.summary(record, service.cache.position(record)), status=202)


_controlled("cancel", "Cancel a job", "Ends the job as `cancelled`. Its record, log and usage stay.")
_controlled(
    "stop",
    "Stop a job and keep its best program",
    "Ends the search with the best program so far, which is scored: `success`. Where there is none yet, the job ends "
    "`cancelled`. A paused job runs once more, to score the best.",
)
_controlled(
    "pause",
    "Pause a job",
    "Ends the attempt and gives its slot back; what was answered and found is kept. Its time counts for no deadline.",
)
_controlled("resume", "Resume a paused job", "The job waits for a slot again and goes on from where it was.")


@router.get(
    "/{job_id}/summary",
    summary="A job in short",
    response_model=None,
    responses=conditional(declared(JobSummary, examples.SUMMARY, "The job in short."))
    | errors(error_codes.UNKNOWN_JOB),
    openapi_extra=PARAMETERS,
)
@needs("get")
async def summary(request: Request, job_id: Named) -> Response:
    return respond(request, await service_of(request).jobs.summary(job_id))


@router.get(
    "/{job_id}/logs",
    summary="A job's log",
    response_model=None,
    responses=declared(LogEntries, examples.LOGS, "The newest entries, or a page with numbers.")
    | errors(error_codes.UNKNOWN_JOB, error_codes.INVALID_REQUEST, error_codes.STORE_UNAVAILABLE),
)
@needs("get")
async def logs(request: Request, job_id: Named, after: After = None, limit: Limit = None) -> Response:
    return await _entries(service_of(request), job_id, "logs", after, limit)


@router.get(
    "/{job_id}/events",
    summary="A job's progress events",
    response_model=None,
    responses=declared(ProgressEvents, examples.PROGRESS, "The newest events, or a page with numbers.")
    | errors(error_codes.UNKNOWN_JOB, error_codes.INVALID_REQUEST, error_codes.STORE_UNAVAILABLE),
)
@needs("get")
async def events(request: Request, job_id: Named, after: After = None, limit: Limit = None) -> Response:
    return await _entries(service_of(request), job_id, "events", after, limit)


@router.get(
    "/{job_id}/candidates",
    summary="The programs that the search tried",
    description="In the order in which they were tried, while the job runs too. A page may have fewer than `limit`, "
    "because long prompts make it end sooner: the last page is the one that is empty.",
    response_model=None,
    responses=declared(Candidates, examples.CANDIDATES, "A page of candidates.")
    | errors(error_codes.UNKNOWN_JOB, error_codes.INVALID_REQUEST, error_codes.STORE_UNAVAILABLE),
    openapi_extra={"parameters": [_BRIEF]},
)
@needs("get")
async def candidates(request: Request, job_id: Named, after: After = None, limit: Limit = None) -> Response:
    service = service_of(request)
    jobs, most = service.jobs, limit or service.settings.page_entries
    if flag(request, "brief"):
        return ready(await jobs.candidates_in_brief(job_id, after or 0, most))
    return ready(await jobs.page(job_id, "candidates", after or 0, most))


@router.get(
    "/{job_id}/artifact",
    summary="The optimized program",
    description="While the job runs, `best=true` answers the best program so far: its state and prompts, and in "
    "`metadata` its score, on how many rows. Of a job that has made a program, it changes nothing.",
    response_model=None,
    responses=conditional(declared(ArtifactAnswer, examples.ARTIFACT, "The program."))
    | errors(
        error_codes.UNKNOWN_JOB,
        error_codes.NO_ARTIFACT,
        error_codes.NOT_FINISHED,
        error_codes.NO_BEST_YET,
        error_codes.INVALID_REQUEST,
        error_codes.STORE_UNAVAILABLE,
    ),
    openapi_extra={"parameters": [*PARAMETERS["parameters"], _BEST]},
)
@needs("get")
async def artifact(request: Request, job_id: Named) -> Response:
    jobs = service_of(request).jobs
    return respond(request, await (jobs.best(job_id) if flag(request, "best") else jobs.artifact(job_id)))


_SUBMITTED = declared(
    Payload,
    examples.PAYLOAD,
    "The body of a POST /run that submits the job again. Credentials are left out of models, and each of the job's "
    "secrets is empty: a submit refuses it until its value is filled in.",
)
_SUBMITTED[200]["headers"] = {
    "Warning": {"description": "Names what is to be filled in.", "schema": {"type": "string"}}
}


@router.get(
    "/{job_id}/payload",
    summary="What was submitted",
    response_model=None,
    responses=_SUBMITTED
    | errors(error_codes.UNKNOWN_JOB, error_codes.NO_PAYLOAD, error_codes.BUSY, error_codes.STORE_UNAVAILABLE),
)
@needs("get")
async def payload(request: Request, job_id: Named) -> Response:
    found = await service_of(request).payloads.read(job_id)
    return ready(found.body, warning("Credentials were left out", found.blanked))


@router.get(
    "/{job_id}/rows",
    summary="What both programs made of each test row",
    response_model=None,
    responses=declared(ScoredRows, examples.ROWS, "A page of test rows, in the dataset's order.")
    | errors(
        error_codes.UNKNOWN_JOB,
        error_codes.NO_ARTIFACT,
        error_codes.NOT_FINISHED,
        error_codes.INVALID_REQUEST,
        error_codes.STORE_UNAVAILABLE,
    ),
)
@needs("get")
async def rows(
    request: Request,
    job_id: Named,
    which: Annotated[Which, Query(description=_WHICH)] = "all",
    after: Annotated[
        int | None,
        Query(ge=0, le=2**53, description="Only rows with a higher number: the last `n` of the page before."),
    ] = None,
    limit: Limit = None,
) -> Response:
    service = service_of(request)
    return ready(await service.jobs.rows(job_id, which, after, limit or service.settings.page_entries))


async def _entries(service: Service, job_id: str, kind: Kind, after: int | None, limit: int | None) -> Response:
    """Without `after` and `limit` it is the same list that the answer about the job embeds."""
    if after is None and limit is None:
        return ready(await service.jobs.transcript(job_id, kind))
    return ready(await service.jobs.page(job_id, kind, after or 0, limit or service.settings.page_entries))
