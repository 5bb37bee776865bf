"""The OpenAPI document: paths and parameters come from FastAPI, the schemas of bodies from our own declarations.

FastAPI knows no bodies here: for speed, requests are parsed and answers are built without it.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from dspy_service_api.answers.schemas.components import components

DESCRIPTION = """\
Submit a program, a metric and a dataset; a DSPy optimizer makes the program's prompts better; take the program away.

Metrics are on DSPy's own scale, 0 to 100. Timestamps are RFC 3339 in UTC.
"""


def install(app: FastAPI, routers: Sequence[APIRouter], request_schemas: dict[str, Any]) -> None:
    """`request_schemas` holds `RunRequest` and what it refers to."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, routers, request_schemas)
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, routers: Sequence[APIRouter], request_schemas: dict[str, Any]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    document["components"] = {
        "schemas": components() | request_schemas,
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"token": []}, {}]
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    document["paths"][route.path][method.lower()]["responses"] = _as_declared(route)
    return document


def _as_declared(route: APIRoute) -> dict[str, Any]:
    """The responses as the route declares them: FastAPI would add a 422 of its own, and drop nulls from examples."""
    return {str(status): response for status, response in route.responses.items()}
