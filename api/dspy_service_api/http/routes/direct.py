"""Routes that are in FastAPI's OpenAPI document and are called without FastAPI's own processing.

An endpoint that takes only the request and names from the path has nothing to convert or to validate; there FastAPI's
processing of a request would take longer than making the whole answer.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    def get_route_handler(self) -> Handler:
        return super().get_route_handler() if self._converts() else self._call

    def _converts(self) -> bool:
        needed = self.dependant
        others = (needed.query_params, needed.header_params, needed.cookie_params, needed.body_params)
        return (
            any(others)
            or bool(needed.dependencies)
            or any(name.field_info.annotation is not str for name in needed.path_params)
        )

    async def _call(self, request: Request) -> Response:
        response: Response = await self.endpoint(request=request, **request.path_params)
        return response
