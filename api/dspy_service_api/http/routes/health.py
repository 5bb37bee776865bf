"""GET /health and GET /catalogue for clients and people; /livez and /readyz for the cluster's probes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dspy_service_api.answers import error_codes
from dspy_service_api.answers.schemas.service import Catalogue, Health
from dspy_service_api.http.access.permissions import open_to_all, open_to_known
from dspy_service_api.http.routes import examples
from dspy_service_api.http.routes.answers import declared, errors, ready
from dspy_service_api.service import service_of

router = APIRouter(tags=["service"])


@router.get(
    "/health",
    summary="Whether the service can serve, and what it offers",
    response_model=None,
    responses=declared(Health, examples.HEALTH, "It can.") | errors(error_codes.CLUSTER_UNAVAILABLE, open_to_all=True),
)
@open_to_all
async def health(request: Request) -> Response:
    service = service_of(request)
    service.require_ready()
    return ready(service.health)


@router.get(
    "/catalogue",
    summary="What a job may name, and what is installed where it runs",
    response_model=None,
    responses=declared(Catalogue, examples.CATALOGUE, "Modules, optimizers and packages.") | errors(),
)
@open_to_known
async def catalogue(request: Request) -> Response:
    """The packages are those of the image that jobs run in by default."""
    return ready(await service_of(request).catalogue())


@router.get("/livez", include_in_schema=False)
@open_to_all
async def livez(request: Request) -> Response:
    """Fails only for what a restart would mend, such as a background task that died. A cluster that is out of reach
    does not count."""
    died = service_of(request).background.died
    return Response(died.encode() or b"ok", 500 if died else 200, media_type="text/plain")


@router.get("/readyz", include_in_schema=False)
@open_to_all
async def readyz(request: Request) -> Response:
    service_of(request).require_ready()
    return Response(b"ok", media_type="text/plain")
