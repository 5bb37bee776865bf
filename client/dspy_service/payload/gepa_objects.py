"""The objects that GEPA takes (stop conditions, selectors, samplings, a proposer) in the form in which a job has them:
their class's name and their arguments, which they keep under their own names.

Which of them a job may have is the service's to say. What makes random numbers gets the job's seed there.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from dspy_service.errors import UnusableObject

_HOMES = ("gepa.strategies.", "gepa.utils.", "dspy.teleprompt.gepa.instruction_proposal")
_ADAPTER = "JSONAdapter"
"""What a proposer asks by, if it is not told otherwise."""


def is_gepa_object(value: Any) -> bool:
    return type(value).__module__.startswith(_HOMES)


def form_of(value: Any, place: str, carried: Callable[[Any, str], Any]) -> dict[str, Any]:
    arguments = {name: carried(each, f"{place}.{name}") for name, each in _arguments(value, place)}
    return {"type": type(value).__name__, **({"args": arguments} if arguments else {})}


def _arguments(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Those that are not what they would be by default."""
    for name, parameter in inspect.signature(type(value)).parameters.items():
        if name == "rng" or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL and not hasattr(value, name):
            continue  # of a protocol, whose own constructor takes nothing
        if not hasattr(value, name):
            raise UnusableObject(place, f"is a {type(value).__name__} that does not keep its argument {name}")
        kept = getattr(value, name)
        if name == "adapter":
            if type(kept).__name__ != _ADAPTER:
                raise UnusableObject(place, "has an adapter of its own, which a job cannot have: make it without")
        elif parameter.kind is parameter.VAR_POSITIONAL:
            yield name, list(kept)
        elif name == "skills":
            if kept:
                yield name, [skill.content for skill in kept]
        elif kept != parameter.default:
            yield name, kept
