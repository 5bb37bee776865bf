"""POST /run."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dspy_service_api.answers import answer_schemas, error_codes, present
from dspy_service_api.http.access.permissions import needs
from dspy_service_api.http.media import NotJson, refused_type
from dspy_service_api.http.routes import examples
from dspy_service_api.http.routes.answers import declared, errors, ready
from dspy_service_api.http.routes.direct import DirectRoute
from dspy_service_api.http.routes.unbuilt_query import refuse_unbuilt
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
_accepted = declared(answer_schemas.Accepted, examples.ACCEPTED, "The job was created.")
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
    openapi_extra={"requestBody": _BODY, "parameters": [_KEY]},
)
@needs("create")
async def run(request: Request) -> Response:
    refuse_unbuilt(request, "dry_run")
    if refused := refused_type(request.headers.raw):
        raise NotJson(refused)
    key = idempotency.checked_key(request.headers.get(idempotency.HEADER))
    service, state = service_of(request), request.state
    earlier = EarlierJobs(service.jobs, state.refusal)
    submitted = await service.submits.submit(await _body(request), key, earlier, state.visitor)
    return ready(present.accepted(submitted.job_id), _warning(submitted.unknown_keys))


async def _body(request: Request) -> bytearray:
    """One growing buffer, because a list of parts would be in memory beside the body that they are joined to."""
    body = bytearray()
    async for part in request.stream():
        body += part
    return body


def _warning(unknown_keys: tuple[str, ...]) -> dict[str, str] | None:
    """A Warning header in the form of RFC 7234. Keys may hold any character, so they are escaped to ASCII and cut."""
    if not unknown_keys:
        return None
    named = ", ".join(ascii(key)[1:-1].replace("\\", "\\\\").replace('"', '\\"')[:64] for key in unknown_keys[:20])
    more = f" and {len(unknown_keys) - 20} more" if len(unknown_keys) > 20 else ""
    return {"Warning": f'299 dspy-service "Unknown keys were ignored: {named}{more}"'}
