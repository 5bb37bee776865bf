"""Checks of a job's own program: its constructor's arguments, the columns that fill the parameters of its `forward`,
and the names of these. The pod checks all of it once more, by the objects that running the code gives.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from dspy_service_core.checks import kwargs_rules, row_checks
from dspy_service_core.code.reserved_names import reserved
from dspy_service_core.code.source_text import listed
from dspy_service_core.programs import program_source
from dspy_service_core.programs.parameters import Parameters
from dspy_service_core.programs.program_source import ProgramSource, ProgramText
from dspy_service_core.registry.catalogue import Callee, Parameter
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import PROGRAM, SIGNATURE
from dspy_service_core.resource.spec.code import Program
from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_core.resource.words import Words

Rows = Sequence[Mapping[str, Any]]
_INPUTS = "spec.columns.inputs"


def read(
    spec: OptimizationJobSpec, code: Mapping[str, str], files: Mapping[str, str], words: Words
) -> ProgramSource | None:
    """None for a job without a program of its own, and where the caller does not have all of its source."""
    if spec.program is None:
        return None
    text = code.get(PROGRAM, spec.program.code)
    beside = code.get(SIGNATURE, spec.signature.code) if spec.signature else None
    if text is None or (spec.signature and beside is None):
        return None
    fields = program_source.Fields(
        words("spec.program"), words("spec.program.name"), words("spec.program.files"), words("spec.signature")
    )
    return program_source.read_program(
        ProgramText(text, spec.program.name, _files(spec.program, files), beside), fields
    )


def _files(program: Program, given: Mapping[str, str]) -> Mapping[str, str]:
    """None of them where one is missing: an import of a file that is not here proves nothing."""
    inline = {file.path: file.code for file in program.files if file.code is not None}
    known = inline | dict(given)
    return known if all(file.path in known for file in program.files) else {}


def problems(
    program: ProgramSource | None,
    kwargs: Mapping[str, JsonValue],
    columns: Columns | None,
    rows: Rows | None,
    words: Words,
) -> Iterator[str]:
    if program is None:
        return
    if program.constructor is not None:
        yield from _arguments(program, program.constructor, kwargs, words)
    if program.forward is not None:
        yield from _names(program, program.forward, words)
        yield from _inputs(program, program.forward, columns, rows, words)
    if columns is not None and rows is not None:
        yield from row_checks.rows(rows, row_checks.mapped(columns, words), words)


def _arguments(
    program: ProgramSource, takes: Parameters, kwargs: Mapping[str, JsonValue], words: Words
) -> Iterator[str]:
    what = f"The constructor of '{program.name}'"
    if takes.positional_only:
        by_position = listed(list(takes.positional_only))
        yield f"{words('spec.program')}: {what} takes {by_position} by position only: leave out the '/'."
    callee = Callee(
        parameters=tuple(Parameter(name=one.name, kind="keyword", required=one.required) for one in takes.named),
        further=takes.any_named,
    )
    yield from kwargs_rules.problems(callee, what, words("spec.program.kwargs"), kwargs, {})


def _names(program: ProgramSource, takes: Parameters, words: Words) -> Iterator[str]:
    """A program's inputs are arguments of its own, so only what an example cannot carry is refused. Inputs of its
    predictors are arguments of DSPy's."""
    for problem in reserved((), takes.names()):
        yield f"{words('spec.program')}: {problem.replace('output field', 'input', 1)}."
    for seen in program.predictors if program.predictor_count is not None else ():
        if (its := seen.signature) is not None:
            for problem in reserved(its.inputs or (), its.outputs or (), seen.module):
                yield f"{words('spec.program')}: {problem}, in the signature of the predictor on line {seen.line}."


def _inputs(
    program: ProgramSource, takes: Parameters, columns: Columns | None, rows: Rows | None, words: Words
) -> Iterator[str]:
    """Columns of the same names fill the parameters that are not mapped."""
    mapped = columns.inputs if columns else {}
    for name in mapped:
        if name not in takes.names() and not takes.any_named:
            known = ", ".join(takes.names()) or "none"
            yield f"{words(_INPUTS)} maps '{name}', which the forward of '{program.name}' does not take: {known}."
    if not rows:
        return
    unsaid = [name for name in takes.required() if name not in mapped]
    there = list(dict.fromkeys(column for row in rows for column in row))
    for name in unsaid:
        if name not in there:
            yield (
                f"{words('spec.dataset')} has no column for '{name}', which the forward of '{program.name}' needs. "
                f"Its columns: {listed(there)}; name one in {words(_INPUTS)}."
            )
    needed = dict.fromkeys(unsaid, f"which the forward of '{program.name}' needs")
    yield from row_checks.rows(rows, needed, words)
    types = {one.name: one.type for one in takes.named if one.type is not None}
    yield from row_checks.types(rows, {**{name: name for name in unsaid}, **mapped}, types, words)
