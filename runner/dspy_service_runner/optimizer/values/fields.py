"""What a program takes and gives: the fields that the dataset's columns fill, each with the type that it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.constants import IS_TYPE_UNDEFINED


@dataclass(frozen=True)
class Fields:
    inputs: Mapping[str, Any]
    """Annotations by name; `Any` for an input that names no type, whose cells stay as sent."""
    outputs: Mapping[str, Any]
    """The same for those outputs whose type is known."""
    optional: frozenset[str] = frozenset()
    """Inputs that need no column, because the program has a default for them."""
    inferred: frozenset[str] = frozenset()
    """Inputs whose type is not the program's own word: a cell that it does not fit stays as sent."""
    undecided: frozenset[str] = frozenset()
    """Outputs that several predictors give, each with a type of its own: their gold stays as sent."""

    @classmethod
    def of_signature(cls, signature: type[dspy.Signature]) -> "Fields":
        return cls(inputs=_annotations(signature.input_fields), outputs=_declared(signature.output_fields))

    @classmethod
    def of_predictors(cls, predictors: Iterable[Any]) -> "Fields":
        """A name's type is known where all fields of that name agree."""
        signatures = [predictor.signature for predictor in predictors]
        inputs = _by_name(_annotations(signature.input_fields) for signature in signatures)
        outputs = _by_name(_declared(signature.output_fields) for signature in signatures)
        agreed = {name: its[0] for name, its in outputs.items() if all(each == its[0] for each in its)}
        return cls(
            inputs={name: its[0] if all(each == its[0] for each in its) else Any for name, its in inputs.items()},
            outputs=agreed,
            undecided=frozenset(outputs.keys() - agreed.keys()),
        )


def _annotations(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Any if _is_undefined(info) else info.annotation for name, info in fields.items()}


def _declared(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An output that names no type is text, because dspy parses it as that."""
    return {name: info.annotation for name, info in fields.items()}


def _is_undefined(info: Any) -> bool:
    return bool((info.json_schema_extra or {}).get(IS_TYPE_UNDEFINED))


def _by_name(given: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for fields in given:
        for name, annotation in fields.items():
            found.setdefault(name, []).append(annotation)
    return found
