"""Query parameters that an endpoint reads by itself, where FastAPI's processing would cost every request."""

from starlette.requests import Request

from dspy_service_core.errors import FieldProblem, InvalidRequest

_WORDS = {"true": True, "1": True, "false": False, "0": False}


def flag(request: Request, name: str) -> bool:
    """False where it is left out. Whatever else is no word for yes or no is refused, and so are two at once: nobody's
    dry run may become a job."""
    if not request.scope["query_string"]:
        return False
    given = request.query_params.getlist(name)
    if len(given) > 1 or not _WORDS.keys() >= {value.lower() for value in given}:
        raise InvalidRequest([FieldProblem(name, "Input should be true or false, once", "bool_parsing")])
    return bool(given) and _WORDS[given[0].lower()]


def flag_parameter(name: str, description: str) -> dict[str, object]:
    """Of the OpenAPI document, for what `flag` reads."""
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
