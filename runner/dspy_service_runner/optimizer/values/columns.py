"""Which column fills which field: as the job maps them, and for a program's own names also unsaid."""

from collections.abc import Mapping, Sequence
from typing import Any

from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.failures import JobFailed, quoted
from dspy_service_runner.optimizer.values.fields import Fields

Rows = Sequence[Mapping[str, Any]]


def check_columns(fields: Fields, columns: Columns) -> None:
    """For a signature: the mapping must cover every field and name no other. Checked again here, because reading the
    code without running it may not show all fields."""
    for kind, named, mapping in (
        ("input", fields.inputs, list(columns.inputs)),
        ("output", fields.outputs, [*columns.outputs, *(columns.without_gold or ())]),
    ):
        missing = [name for name in named if name not in mapping]
        if missing:
            cure = " Map what no column holds the gold of to null." if kind == "output" else ""
            raise JobFailed("InvalidMapping", f"column_mapping.{kind}s names no column for {quoted(missing)}.{cure}")
        unknown = [name for name in mapping if name not in named]
        if unknown:
            raise JobFailed(
                "InvalidMapping",
                f"column_mapping.{kind}s names {quoted(unknown)}; the signature's {kind} fields are {quoted(named)}.",
            )


def columns_of_program(fields: Fields, given: Columns | None, rows: Rows) -> Columns:
    """What the job maps, and for all else the columns of the same names. A column that a predictor's output has the
    name of is gold: an optional input never gets it unasked."""
    renamed = dict(given.inputs) if given else {}
    gold = dict(given.outputs) if given else {}
    unknown = [name for name in renamed if name not in fields.inputs]
    if unknown:
        raise JobFailed(
            "InvalidMapping",
            f"column_mapping.inputs names {quoted(unknown)}; the program's inputs are {quoted(fields.inputs)}.",
        )
    answers = {*fields.outputs, *fields.undecided}
    some = {column for row in rows for column in row}
    inputs = renamed | {
        name: name
        for name in fields.inputs
        if name not in renamed and (name not in fields.optional or (name in some and name not in answers | gold.keys()))
    }
    _check_inputs(inputs, fields, gold, some)
    every = some.intersection(*rows) - {*inputs, *inputs.values()} - {*((given and given.without_gold) or ())}
    unsaid = {name: name for name in sorted(answers & every) if name not in gold.values()}
    return Columns(inputs=inputs, outputs=unsaid | gold)


def check_split_column(columns: Columns, column: str) -> None:
    """An input that is filled from it would tell the program which rows are tested."""
    for name in (name for name, used in columns.inputs.items() if column and used == column):
        raise JobFailed(
            "InvalidMapping",
            f"The input '{name}' is filled from column '{column}', by which the rows are split: map another column.",
        )


def _check_inputs(inputs: Mapping[str, str], fields: Fields, gold: Mapping[str, str], there: set[str]) -> None:
    missing = [name for name, column in inputs.items() if column == name and name not in there]
    if missing:
        raise JobFailed(
            "InvalidMapping",
            f"The program's inputs {quoted(missing)} have no column: name one in column_mapping.inputs. The columns "
            f"are {quoted(sorted(there))}.",
        )
    if not inputs:
        raise JobFailed(
            "InvalidMapping",
            f"No column has the name of an input of the program ({quoted(fields.inputs)}): name one in "
            "column_mapping.inputs.",
        )
    both = [name for name in inputs if name in gold]
    if both:
        raise JobFailed("InvalidMapping", f"column_mapping names {quoted(both)} as input and as output of the program.")
