"""The program that is optimized, as the rest of the optimizer knows it: the user's own, or one of dspy's modules around
the user's signature."""

import inspect
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.code.reserved_names import reserved
from dspy_service_core.resource.sources import PROGRAM, SIGNATURE
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.user_code import source
from dspy_service_runner.optimizer.user_code.programs import program_files
from dspy_service_runner.optimizer.user_code.programs.forward import fields_of
from dspy_service_runner.optimizer.user_code.programs.program_class import REASON, construct, find_program_class
from dspy_service_runner.optimizer.values.fields import Fields


@dataclass(frozen=True)
class Program:
    module: dspy.Module
    name: str
    """The signature's, or that of the program's class."""
    fields: Fields
    folder: Path | None = None
    """Where a program's own files lie."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The program's inputs by name, each with its annotation."""
        return self.fields.inputs

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self.fields.outputs

    @property
    def user_modules(self) -> tuple[types.ModuleType, ...]:
        """The user's modules that have been imported so far: what a pickle has to hold by value."""
        named = [sys.modules.get(source.module_name(name)) for name in (SIGNATURE, PROGRAM)]
        below = program_files.modules_below(self.folder) if self.folder else []
        return tuple({module.__name__: module for module in (*named, *below) if module is not None}.values())


@dataclass(frozen=True)
class ProgramSource:
    """A program as it was submitted."""

    code: str
    name: str = ""
    """Its class; empty for the only one that can be meant."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    signature: str | None = None
    """Code that runs first, and whose names the program's code sees."""


def own_program(given: ProgramSource, models: Mapping[str, Any], scratch: Path) -> Program:
    """The program of a job that brings its own. Its code runs in a folder of its own below `scratch`."""
    folder = scratch / source.FOLDER
    program_files.lay_out(folder, {source.source_file(PROGRAM): given.code, **given.files})
    program_files.work_in(folder, {"dspy": dspy, "models": models})
    seen: dict[str, Any] = {}
    if given.signature is not None:
        beside = source.run_source(SIGNATURE, given.signature, "InvalidSignature", models)
        seen = {name: value for name, value in vars(beside).items() if not name.startswith("__")}
    code = source.run_source(PROGRAM, given.code, REASON, models, folder=folder, names=seen)
    others = [module.__name__ for module in program_files.modules_below(folder)]
    made = construct(find_program_class(code, given.name, others), given.kwargs)
    fields = fields_of(made)
    check_own_names(made, fields)
    return Program(made, type(made).__name__, fields, folder)


def signature_program(
    code: str, module_class: type, kwargs: Mapping[str, Any], models: Mapping[str, Any] | None = None
) -> Program:
    """The program of a job that brings a signature and names a module."""
    signature = source.pick_signature(source.run_source(SIGNATURE, code, "InvalidSignature", models))
    check_names(signature, module_class)
    made = build_program(module_class, signature, kwargs)
    return Program(made, signature.__name__, Fields.of_signature(signature))


def check_names(signature: type[dspy.Signature], module: type) -> None:
    named = f"dspy.{module.__name__}" if module.__module__.startswith("dspy.") else ""
    for problem in reserved(signature.input_fields, signature.output_fields, named):
        raise JobFailed("InvalidSignature", f"The signature cannot be used: {problem}, there and in column_mapping.")


def build_program(module: type, signature: type[dspy.Signature], kwargs: Mapping[str, Any]) -> dspy.Module:
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


def check_own_names(module: dspy.Module, fields: Fields) -> None:
    """A program's inputs are arguments of its own, which may have any name that an example can carry. Those of its
    predictors are arguments of dspy's."""
    for problem in reserved((), fields.inputs):
        raise JobFailed(REASON, f"The program cannot be used: {problem.replace('output field', 'input', 1)}.")
    for path, predictor in module.named_predictors():
        for problem in reserved(predictor.signature.input_fields, predictor.signature.output_fields):
            raise JobFailed(REASON, f"The program's predictor '{path}' cannot be used: {problem}.")
