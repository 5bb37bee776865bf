"""Checks of a job's rows: their columns against the signature's fields, each row, and how many each split gets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dspy_service_core.checks import cell_types
from dspy_service_core.code.field_types import FieldType
from dspy_service_core.code.reserved_names import reserved
from dspy_service_core.code.signature_source import SignatureSource
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_core.resource.splits import Fractions, fewest_rows, in_column, misplaced
from dspy_service_core.resource.words import Words

_INPUTS, _OUTPUTS = "spec.columns.inputs", "spec.columns.outputs"
_SHOWN = 80
_WITHOUT_GOLD = "spec.columns.withoutGold"


def names(signature: SignatureSource | None, module: str, words: Words) -> Iterator[str]:
    if signature is not None:
        for problem in reserved(signature.inputs, signature.outputs, module):
            yield f"{words('spec.signature')}: {problem}, here and in {words('spec.columns')}."


def mapping(columns: Columns, signature: SignatureSource | None, words: Words) -> Iterator[str]:
    if signature is None or signature.name is None:
        return
    ungraded = columns.without_gold or ()
    sides = (
        ("input", words(_INPUTS), columns.inputs, signature.inputs, signature.outputs),
        ("output", words(_OUTPUTS), [*columns.outputs, *ungraded], signature.outputs, signature.inputs),
    )
    for name in ungraded:
        if name in columns.outputs:
            yield f"{words(_OUTPUTS)} maps '{name}', which {words(_WITHOUT_GOLD)} names too: keep one of them."
    for word, path, mapped, own, others in sides:
        for name in mapped:
            if name in others:
                yield f"{path} maps '{name}', which is no {word} of signature '{signature.name}': move it."
            elif name not in own:
                known = ", ".join(own) or "none"
                yield f"{path} maps '{name}', which signature '{signature.name}' does not have. Its {word}s: {known}."
        for name in own:
            if name not in mapped:
                yield f"{path} lacks the {word} field '{name}' of signature '{signature.name}'.{_cure(word, words)}"


def _cure(word: str, words: Words) -> str:
    if word != "output":
        return ""
    as_resource = words(_WITHOUT_GOLD) == _WITHOUT_GOLD
    return f" If no column holds its gold, {f'name it in {_WITHOUT_GOLD}' if as_resource else 'map it to null'}."


def mapped(columns: Columns, words: Words) -> Mapping[str, str]:
    """Each column that the job maps, with what for."""
    inputs = {column: f"to which {words(f'{_INPUTS}.{name}')} maps" for name, column in columns.inputs.items()}
    return inputs | {column: f"to which {words(f'{_OUTPUTS}.{name}')} maps" for name, column in columns.outputs.items()}


def rows(given: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], words: Words) -> Iterator[str]:
    """`wanted` says for each column that every row must have what for."""
    for index, row in enumerate(given):
        if type(row) is not dict and not isinstance(row, Mapping):  # nearly all are dicts, and told so much faster
            yield f"{words('spec.dataset')}[{index}] is no object."
        elif not row.keys() >= wanted.keys():
            column = next(column for column in wanted if column not in row)
            yield f"{words('spec.dataset')}[{index}] lacks column '{column}', {wanted[column]}."


def types(
    given: Sequence[Mapping[str, Any]], inputs: Mapping[str, str], types: Mapping[str, FieldType], words: Words
) -> Iterator[str]:
    """`inputs` are columns by field. A gold value of another type is left as it was sent, and the metric has to deal
    with it."""
    for name, column in inputs.items():
        its = types.get(name)
        for index, row in enumerate(given if its else ()):
            if its and column in row and (found := cell_types.problem(row[column], its)):
                place, reason, cell = found
                shown = repr(cell) if len(repr(cell)) <= _SHOWN else f"{repr(cell)[:_SHOWN]}..."
                yield (
                    f"{words('spec.dataset')}[{index}], column '{column}': field '{name}{place}' ({its.written}): "
                    f"{reason}; the cell holds {shown}."
                )


def split_column(
    given: Sequence[Mapping[str, Any]], columns: Columns | None, column: str, words: Words
) -> Iterator[str]:
    """The column only splits the rows: an input would tell the program which rows are tested."""
    path = words("spec.split.column")
    for side, mapped in ((_INPUTS, columns.inputs), (_OUTPUTS, columns.outputs)) if columns else ():
        for name in (name for name, used in mapped.items() if used == column):
            yield f"{words(f'{side}.{name}')} maps column '{column}', by which {path} splits the rows: map another."
    for number, problem in misplaced(given, column):
        yield f"{words('spec.dataset')}[{number}] {problem}."


def splits(
    counts: SplitCounts | None, fractions: Fractions, column: str, needs: Mapping[str, str], words: Words
) -> Iterator[str]:
    """`needs` says for each split that must not be empty what its rows are used for."""
    if counts is None:
        return
    for split, why in needs.items():
        if getattr(counts, split) == 0:
            yield _unsaid(split, why, counts, column) if column else _empty(split, why, counts.total, fractions, words)


def _unsaid(split: str, why: str, counts: SplitCounts, column: str) -> str:
    said = f"of {counts.total} rows {counts.train} say train, {counts.val} val and {counts.test} test"
    return f"The {split} split, which {why}, is empty: {said}; {in_column(split, column)}."


def _empty(split: str, why: str, rows: int, fractions: Fractions, words: Words) -> str:
    fraction = getattr(fractions, split)
    path = words(f"spec.split.{split}")
    enough = fewest_rows(split, 1, fractions)
    cure = f"send at least {enough} rows, or raise {path}" if enough else f"raise {path}"
    return f"The {split} split, which {why}, is empty: {path} is {fraction:g} of {rows} rows; {cure}."
