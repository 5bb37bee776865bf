"""The OpenAPI document: FastAPI's own, plus the request's schema, whose body the service parses itself for speed."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

DESCRIPTION = """\
Submit a program, a metric and a dataset; a DSPy optimizer makes the program's prompts better; take the program away.

Metrics are on DSPy's own scale, 0 to 100. Timestamps are RFC 3339 in UTC.
"""


def install(app: FastAPI, request_schemas: dict[str, Any]) -> None:
    """`request_schemas` holds `RunRequest` and what it refers to."""
    app.openapi = lambda: app.openapi_schema or _made(app, request_schemas)  # type: ignore[method-assign]  # FastAPI's documented way


def _made(app: FastAPI, request_schemas: dict[str, Any]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    document["components"]["schemas"] |= request_schemas
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}, {}]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    app.openapi_schema = document
    return document
