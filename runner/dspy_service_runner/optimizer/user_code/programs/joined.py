"""The programs of earlier jobs that an ensemble joins: each made of its own sources in a folder of its own, with its
own state, and held to the inputs of the job's program."""

import contextlib
import os
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.programs.joined import JoinedProgram
from dspy_service_core.resource.sources import PROGRAM, SIGNATURE
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.program_state import begin_with
from dspy_service_runner.optimizer.user_code import source
from dspy_service_runner.optimizer.user_code.programs import program_files
from dspy_service_runner.optimizer.user_code.programs.forward import fields_of, takes_any_name
from dspy_service_runner.optimizer.user_code.programs.own_imports import OwnImports
from dspy_service_runner.optimizer.user_code.programs.program import (
    Program,
    build_program,
    check_names,
    check_own_names,
)
from dspy_service_runner.optimizer.user_code.programs.program_class import (
    REASON,
    check_copies,
    construct,
    find_program_class,
)
from dspy_service_runner.optimizer.user_code.resolve import find_class
from dspy_service_runner.optimizer.values.fields import Fields

_PACKAGE = "joined"
_UNUSABLE = "InvalidSignature"


@dataclass(frozen=True)
class Member:
    name: str
    """What messages call it."""
    module: dspy.Module
    fields: Fields
    folder: Path
    takes_any: bool = False
    """Whether it takes further inputs, by whatever name."""


@dataclass(frozen=True)
class Joined:
    members: tuple[Member, ...]
    folder: Path
    """The working directory in which they run: there is one for all threads, so it has those files that all of them
    have alike. No program finds another's there."""

    @property
    def modules(self) -> list[dspy.Module]:
        return [member.module for member in self.members]

    @property
    def user_modules(self) -> tuple[types.ModuleType, ...]:
        return tuple(each for member in self.members for each in program_files.modules_below(member.folder))


@dataclass(frozen=True)
class Place:
    """Where and beside what they are made."""

    scratch: Path
    models: Mapping[str, Any]
    beside: Program
    """The job's own program."""
    inputs: Collection[str]
    """The inputs that rows bring."""


def join(given: Sequence[JoinedProgram], place: Place) -> Joined:
    common = place.scratch / _PACKAGE / "common" / source.FOLDER
    common.mkdir(parents=True)
    program_files.lay_out(common, _alike([program.files for program in given]))
    return Joined(tuple(_member(number, program, place) for number, program in enumerate(given)), common)


def _alike(files: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    first, *others = files
    return {path: text for path, text in first.items() if all(its.get(path) == text for its in others)}


def _member(number: int, given: JoinedProgram, place: Place) -> Member:
    name = f"programs[{number}]" + (f" (job '{given.job_id}')" if given.job_id else "")
    with _named(name):
        member = _made(f"{_PACKAGE}_{number}", name, given, place)
        begin_with(member.module, given.program_state)
        check_copies(member.module)
        _check_inputs(member, place)
    return member


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except JobFailed as failure:
        raise JobFailed(failure.reason, f"{name}: {failure.message}") from failure


def _made(package: str, name: str, given: JoinedProgram, place: Place) -> Member:
    folder = place.scratch / _PACKAGE / package / source.FOLDER
    texts = {SIGNATURE: given.signature_code, PROGRAM: given.program_code}
    own = {source.source_file(each): text for each, text in texts.items() if text is not None}
    folder.mkdir(parents=True)
    program_files.lay_out(folder, {**own, **given.files})
    names = OwnImports(package, folder, {"dspy": dspy, "models": place.models}, _foreign(place.beside)).names

    def run(what: str, text: str, reason: str, names: Mapping[str, Any]) -> types.ModuleType:
        return source.run_source(what, text, reason, place.models, folder=folder, names=names, package=package)

    with contextlib.chdir(folder):
        beside = None if given.signature_code is None else run(SIGNATURE, given.signature_code, _UNUSABLE, names)
        if given.program_code is None:
            return _of_signature(name, given, beside, folder)
        seen = {} if beside is None else {n: each for n, each in vars(beside).items() if not n.startswith("__")}
        return _of_program(name, given, run(PROGRAM, given.program_code, REASON, names | seen), folder)


def _of_signature(name: str, given: JoinedProgram, code: types.ModuleType | None, folder: Path) -> Member:
    path = given.arguments.module or ""
    module_class = find_class(path, f"module '{path}'", "InvalidModule")
    assert code is not None, "a program has its own code, or a signature"
    signature = source.pick_signature(code)
    check_names(signature, module_class)
    made = build_program(module_class, signature, given.arguments.kwargs)
    return Member(name, made, Fields.of_signature(signature), folder)


def _of_program(name: str, given: JoinedProgram, code: types.ModuleType, folder: Path) -> Member:
    others = [module.__name__ for module in program_files.modules_below(folder)]
    made = construct(find_program_class(code, given.arguments.class_name or "", others), given.arguments.kwargs)
    fields = fields_of(made)
    check_own_names(made, fields)
    return Member(name, made, fields, folder, takes_any_name(made))


def _foreign(beside: Program) -> set[str]:
    """Modules that Python would find in the folder of the job's own program, and that have run from there."""
    ran = {source.module_name(name) for name in (SIGNATURE, PROGRAM)}
    return ran | (program_files.importable(beside.folder) if beside.folder else set())


def _check_inputs(member: Member, place: Place) -> None:
    """All of them get what a row brings, by name."""
    takes = member.fields
    needed = [name for name in takes.inputs if name not in takes.optional and name not in place.inputs]
    foreign = [] if member.takes_any else [name for name in place.inputs if name not in takes.inputs]
    if needed or foreign:
        what = f"needs the input '{needed[0]}'" if needed else f"takes no input '{foreign[0]}'"
        known = ", ".join(map(repr, place.inputs))
        raise JobFailed("InvalidProgram", f"It {what}, and this job's program takes {known}.")


def work_in_common(joined: Joined) -> None:
    os.chdir(joined.folder)
