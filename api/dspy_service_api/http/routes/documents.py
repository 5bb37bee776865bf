"""The OpenAPI document, and a page to try it: Swagger UI, from files that come with the packages.

The page itself holds no script or style, so that its Content-Security-Policy can refuse all inline ones.
"""

import mimetypes
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath

import fastapi_offline
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

import dspy_service_api
from dspy_service_api.http.access.permissions import open_to_all, open_to_known

router = APIRouter(include_in_schema=False)

_OWN = files(dspy_service_api) / "pages"
_SWAGGER = files(fastapi_offline) / "static"
_FILES: dict[str, Traversable] = {
    "docs.js": _OWN / "docs.js",
    "docs.css": _OWN / "docs.css",
    "swagger-ui-bundle.js": _SWAGGER / "swagger-ui-bundle.js",
    "swagger-ui.css": _SWAGGER / "swagger-ui.css",
}
_PAGE = (_OWN / "docs.html").read_bytes()
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_KEPT = {"Cache-Control": "public, max-age=3600"}


@cache
def _content(name: str) -> bytes:
    return _FILES[name].read_bytes()


@router.get("/openapi.json")
@open_to_known
async def openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/docs")
@open_to_all
async def docs() -> Response:
    return Response(_PAGE, media_type="text/html", headers=_KEPT | {"Content-Security-Policy": POLICY})


@router.get("/docs/{name}")
@open_to_all
async def page_file(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    kind, _ = mimetypes.guess_type(PurePath(name))
    return Response(_content(name), media_type=kind, headers=_KEPT)
