"""Query parameters that the contract has and this version has not: refused, like such keys of a body (`unbuilt`)."""

from starlette.requests import Request

from dspy_service_core.contract import unbuilt
from dspy_service_core.errors import InvalidRequest


def refuse_unbuilt(request: Request, *names: str) -> None:
    if request.scope["query_string"] and (given := [name for name in names if name in request.query_params]):
        raise InvalidRequest([unbuilt.query_problem(name) for name in given])
