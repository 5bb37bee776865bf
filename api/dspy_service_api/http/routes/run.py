"""POST /run."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dspy_service_api.answers import error_codes, present
from dspy_service_api.answers.dry_runs import dry_run
from dspy_service_api.answers.schemas.submits import Submission
from dspy_service_api.http.access.permissions import needs
from dspy_service_api.http.media import NotJson, refused_type
from dspy_service_api.http.routes import examples
from dspy_service_api.http.routes.answers import declared, errors, ready
from dspy_service_api.http.routes.direct import DirectRoute
from dspy_service_api.http.routes.query import flag, flag_parameter
from dspy_service_api.http.routes.warning import warning
from dspy_service_api.service import service_of
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.earlier_jobs import EarlierJobs

router = APIRouter(tags=["jobs"], route_class=DirectRoute)

_WARNING = {
    "Warning": {
        "description": "Names top-level keys that are not known and were ignored.",
        "schema": {"type": "string"},
    }
}
_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "The same key and body answer the same job for as long as it exists. "
    "Where the service knows its users, each has keys of their own.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/RunRequest"},
            "examples": {"miprov2": {"value": examples.REQUEST}},
        }
    },
}
_DRY_RUN = flag_parameter("dry_run", "Checks the request, and answers what the job would call. Nothing is stored.")
_accepted = declared(
    Submission,
    {"created": examples.ACCEPTED, "dry run": examples.DRY_RUN},
    "The job was created; of a dry run, what it would be.",
)
_accepted[200]["headers"] = _WARNING
_ERRORS = errors(
    error_codes.UNUSABLE_REQUEST,
    error_codes.RESOURCE_REFUSED,
    error_codes.UNKNOWN_JOB,
    error_codes.IDEMPOTENCY_CONFLICT,
    error_codes.NAME_TAKEN,
    error_codes.BODY_TOO_LARGE,
    error_codes.NOT_JSON,
    error_codes.INVALID_REQUEST,
    error_codes.BUSY,
    error_codes.STORE_UNAVAILABLE,
)


@router.post(
    "/run",
    summary="Submit an optimization",
    response_model=None,
    responses=_accepted | _ERRORS,
    openapi_extra={"requestBody": _BODY, "parameters": [_KEY, _DRY_RUN]},
)
@needs("create")
async def run(request: Request) -> Response:
    rehearsed = flag(request, "dry_run")
    if refused := refused_type(request.headers.raw):
        raise NotJson(refused)
    key = idempotency.checked_key(request.headers.get(idempotency.HEADER))
    service, state = service_of(request), request.state
    earlier = EarlierJobs(service.jobs, state.refusal)
    if rehearsed:
        found = await service.submits.rehearse(await _body(request), key, earlier, state.visitor)
        return ready(dry_run(found.split_counts, found.estimate, found.warnings))
    submitted = await service.submits.submit(await _body(request), key, earlier, state.visitor)
    return ready(present.accepted(submitted.job_id), warning("Unknown keys were ignored", submitted.unknown_keys))


async def _body(request: Request) -> bytearray:
    """One growing buffer, because a list of parts would be in memory beside the body that they are joined to."""
    body = bytearray()
    async for part in request.stream():
        body += part
    return body
