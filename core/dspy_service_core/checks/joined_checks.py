"""Checks of the programs that an ensemble joins, as far as they can be told without running any: they take the inputs
of the job's own program, run under its adapter, and find its models and secrets. The pod compares the rest, by the
objects."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from dspy_service_core.code.signature_source import SignatureSource, read_signature
from dspy_service_core.code.source_text import listed
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.programs.joined import JoinedProgram, named_models
from dspy_service_core.programs.parameters import Parameter, Parameters
from dspy_service_core.programs.program_source import ProgramSource, ProgramText, read_program
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.words import Words

_ALWAYS = ("default", "prompt", "task")
"""Models that every job's code finds: the last two are the default one where they are not given."""


@dataclass(frozen=True, slots=True)
class Given:
    """The job, with what is known of its own program: one of the two, or none where only running it would tell."""

    spec: OptimizationJobSpec
    program: ProgramSource | None
    signature: SignatureSource | None
    secrets: Collection[str]
    """Their names."""
    words: Words


def presence(given: Given, optimizer: str, joins: bool, programs: Sequence[JoinedProgram] | None) -> Iterator[str]:
    field, there = given.words("spec.joined"), given.spec.joined is not None or programs is not None
    if joins and not there:
        yield (
            f"Optimizer '{optimizer}' needs {field}: the programs of earlier jobs, which it joins. (Ids of jobs are "
            "for the HTTP API, which reads them for whoever asks.)"
        )
    if there and not joins:
        yield f"{field} is for dspy.Ensemble alone, and the optimizer is '{optimizer}': leave it out."


def problems(program: JoinedProgram, given: Given) -> Iterator[str]:
    """Each a sentence's end, about one program."""
    spec, whose = given.spec, f"the program of job '{program.job_id}'" if program.job_id else "the program"
    adapter = spec.adapter or DEFAULT_ADAPTER
    if program.arguments.adapter != adapter:
        yield (
            f"{whose} was optimized under the adapter '{program.arguments.adapter}', and this job's is '{adapter}' "
            f"({given.words('spec.adapter')}): its prompts would be others."
        )
    known = {*_ALWAYS, *(name for _, name, _ in spec.all_models())}
    for name in sorted(named_models(program) - known):
        yield f"{whose} asks for models['{name[:80]}'], which is none of this job's: add it to {_configs(given)}."
    for name in program.secrets:
        if name not in given.secrets:
            yield f"{whose} reads the secret '{name[:80]}', which this job does not have: give it in {_secrets(given)}."
    yield from _inputs(program, given, whose)


def _configs(given: Given) -> str:
    return given.words("spec.modelConfigs")


def _secrets(given: Given) -> str:
    return given.words("spec.secrets")


def _inputs(program: JoinedProgram, given: Given, whose: str) -> Iterator[str]:
    wanted = _wanted(given)
    taken = _taken(program)
    if wanted is None or taken is None:
        return
    if lacking := [name for name in taken.required() if name not in wanted]:
        yield f"{whose} needs the input {listed(lacking)}, which this job's program does not take: {listed(wanted)}."
    if foreign := [name for name in wanted if name not in taken.names()] if not taken.any_named else []:
        yield f"{whose} takes no input {listed(foreign)}, as this job's program does: {listed(list(taken.names()))}."
    theirs = _outputs(program)
    columns = given.spec.columns
    if theirs is None or given.signature is None or columns is None:
        return
    if missing := [name for name in columns.outputs if name not in theirs]:
        yield f"{whose} gives no output {listed(missing)}, as this job's program does: {listed(list(theirs))}."


def _wanted(given: Given) -> list[str] | None:
    """The inputs that rows bring, where they are known for certain."""
    if given.signature is not None and given.signature.name is not None:
        return list(given.signature.inputs)
    if given.program is None or (takes := given.program.forward) is None or takes.any_named:
        return None
    return list(takes.required()) if set(takes.required()) == set(takes.names()) else None


def _taken(program: JoinedProgram) -> Parameters | None:
    if program.program_code is None:
        found = _signature(program)
        return None if found is None else Parameters(named=tuple(_required(name) for name in found.inputs))
    text = ProgramText(program.program_code, program.arguments.class_name or "", program.files, program.signature_code)
    try:
        return read_program(text).forward
    except UnusableRequest:
        return None  # it ran, whatever is thought of it here


def _outputs(program: JoinedProgram) -> tuple[str, ...] | None:
    found = _signature(program) if program.program_code is None else None
    return None if found is None else found.outputs


def _signature(program: JoinedProgram) -> SignatureSource | None:
    try:
        found = read_signature(program.signature_code or "")
    except UnusableRequest:
        return None
    return found if found.name is not None else None


def _required(name: str) -> Parameter:
    return Parameter(name, required=True)
