"""Checks of the state that a job begins with, as far as its program is known without running it. The pod compares the
state with the program itself (`state_fit.misfits`)."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from dspy_service_core.checks import state_fit
from dspy_service_core.code.signature_source import SignatureSource
from dspy_service_core.code.source_text import listed

_TOLD = 3
_OWN_NAME = re.compile(r"\$\{(\w+)\}")
"""The description of a field that was given none."""
_OF_DSPY = frozenset({"reasoning", "trajectory"})
"""Fields that DSPy's modules add to a signature."""


def problems(
    given: str | Mapping[str, Any], predictors: int | None, signature: SignatureSource | None
) -> Iterator[str]:
    """Sentences about a state, or its JSON. `predictors` and `signature` are None where they are not known, the
    signature for a program of the job's own too."""
    try:
        state = state_fit.read_state(given) if isinstance(given, str) else dict(given)
    except ValueError as error:
        yield str(error)
        return
    if broken := list(islice(state_fit.shape_problems(state), _TOLD)):
        yield " ".join(broken)
        return
    found = _predictors(state)
    if predictors is not None and len(found) != predictors:
        yield f"The state has {len(found)} predictors ({listed(list(found))}), and the program has {predictors}."
    if signature is not None and (foreign := _foreign(found, signature)):
        yield f"The state has the fields {listed(foreign)}, which signature '{signature.name}' lacks."


def _predictors(state: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if _is_predictor(state):
        return {"self": state}
    return {name: part for name, part in state.items() if name != "metadata" and _is_predictor(part)}


def _is_predictor(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("signature"), Mapping)


def _foreign(predictors: Mapping[str, Mapping[str, Any]], signature: SignatureSource) -> list[str]:
    """Nothing where the signature could not be read in full."""
    if signature.name is None:
        return []
    known = {*signature.inputs, *signature.outputs, *_OF_DSPY}
    written = (field["description"] for part in predictors.values() for field in part["signature"]["fields"])
    names = (match[1] for text in written if (match := _OWN_NAME.fullmatch(text)))
    return sorted({name for name in names if name not in known})
