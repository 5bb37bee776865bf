"""How a family speaks of its kwargs in the CRD: schemas, and parts of CEL rules.

A rule may speak only of what is certain for every installation. A registry may give an alias other defaults, so what
an alias leaves out is left to the operator's condition `Valid`. Of kwargs, which are DSPy's and free-form, CEL sees
only fields that the schema types; one that is null counts as not given, in Kubernetes as in DSPy.
"""

from collections.abc import Iterable
from typing import Any

AUTO: dict[str, Any] = {
    "type": "string",
    "maxLength": 64,
    "nullable": True,
    "description": "Budget in a word (light, medium, heavy), or null.",
}


def number(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "nullable": True, "description": description}


def given(path: str, fields: Iterable[str]) -> str:
    """How many of the fields are given."""
    return f"[{', '.join(f'has({path}.{name})' for name in fields)}].filter(given, given).size()"
