"""Schemas and parts of CEL rules by which the families describe their kwargs in the CRD.

A rule may only use what is certain for every installation. A registry may give an alias other defaults, so a missing
argument is left to the operator's condition `Valid`. Kwargs are free-form, and CEL sees only those fields for which the
schema has a type; null counts as not given, in Kubernetes as in DSPy.
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
    """A CEL expression for the number of fields that are given."""
    return f"[{', '.join(f'has({path}.{name})' for name in fields)}].filter(given, given).size()"
