"""The program that is optimized: a dspy module around the user's signature, checked against the column mapping."""

import inspect
from typing import Any

import dspy

from dspy_service_core.code.reserved_names import reserved
from dspy_service_core.resource.job import Columns
from dspy_service_runner.optimizer.failures import JobFailed, first_line


def check_columns(signature: type[dspy.Signature], columns: Columns) -> None:
    """The mapping must cover every field and name no other. Checked again here, because reading the code without
    running it may not show all fields."""
    for kind, fields, mapping in (
        ("input", signature.input_fields, list(columns.inputs)),
        ("output", signature.output_fields, [*columns.outputs, *(columns.without_gold or ())]),
    ):
        missing = [name for name in fields if name not in mapping]
        if missing:
            cure = " Map what no column holds the gold of to null." if kind == "output" else ""
            raise JobFailed("InvalidMapping", f"column_mapping.{kind}s names no column for {_list(missing)}.{cure}")
        unknown = [name for name in mapping if name not in fields]
        if unknown:
            raise JobFailed(
                "InvalidMapping",
                f"column_mapping.{kind}s names {_list(unknown)}; the signature's {kind} fields are {_list(fields)}.",
            )


def check_names(signature: type[dspy.Signature], module: type) -> None:
    named = f"dspy.{module.__name__}" if module.__module__.startswith("dspy.") else ""
    for problem in reserved(signature.input_fields, signature.output_fields, named):
        raise JobFailed("InvalidSignature", f"The signature cannot be used: {problem}, there and in column_mapping.")


def build_program(module: type, signature: type[dspy.Signature], kwargs: dict[str, Any]) -> dspy.Module:
    # Not `inspect.signature(module)`, which is that of the metaclass.
    takes_signature = "signature" in inspect.signature(inspect.getattr_static(module, "__init__")).parameters
    try:
        program = module(**kwargs, **({"signature": signature} if takes_signature else {}))
    except Exception as error:
        raise JobFailed(
            "InvalidModule", f"The module {module.__name__} refuses its arguments: {first_line(error)}"
        ) from error
    if not isinstance(program, dspy.Module):
        raise JobFailed("InvalidModule", f"{module.__name__} is no dspy module.")
    return program


def _list(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
