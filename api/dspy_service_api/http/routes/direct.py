"""Routes that FastAPI describes and does not stand in front of.

What an endpoint takes is in the OpenAPI document either way. Where that is the request and names out of the path alone,
there is nothing to convert or to check, and FastAPI's way to an endpoint takes longer than the whole answer.
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
