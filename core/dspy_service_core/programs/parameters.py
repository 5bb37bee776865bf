"""Reads which arguments a class's constructor and its `forward` take, without running code."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dspy_service_core.code.field_types import FieldType, Resolve, type_of
from dspy_service_core.code.inheritance import resolution_order
from dspy_service_core.code.source_names import EMPTY, MODULE, Definition, outside_functions

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    required: bool
    type: FieldType | None = None
    """None for text and for types that are not known here."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes by name."""

    named: tuple[Parameter, ...] = ()
    positional_only: tuple[str, ...] = ()
    """Those that must be given by their position."""
    any_positional: bool = False
    """`*args`"""
    any_named: bool = False
    """`**kwargs`"""
    line: int = 0

    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.named)

    def required(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.named if parameter.required)


@dataclass(frozen=True, slots=True)
class Found:
    """Where Python finds a method. `owner` is None if no class has it, and `function` if only running the source would
    tell what it is."""

    owner: Definition | None = None
    function: Function | None = None

    def parameters(self) -> Parameters | None:
        if self.owner is None or self.owner.scope is None or self.function is None:
            return None
        return parameters_of(self.function, self.owner.scope.resolve)


def find(leaf: Definition, name: str) -> Found:
    order = resolution_order(leaf)
    return next((found for one in order if (found := _in_class(one, name)) is not None), Found())


def methods(owner: Definition) -> Iterator[Function]:
    for statement in owner.node.body if owner.node else ():
        if isinstance(statement, Function):
            yield statement


def parameters_of(function: Function, resolve: Resolve) -> Parameters:
    """Without the first one, which is the object itself."""
    given, optional = function.args, defaults_of(function).keys()
    by_name = [*given.args[0 if given.posonlyargs else 1 :], *given.kwonlyargs]
    return Parameters(
        named=tuple(Parameter(one.arg, one.arg not in optional, _type(one, resolve)) for one in by_name),
        positional_only=tuple(one.arg for one in given.posonlyargs[1:] if one.arg not in optional),
        any_positional=given.vararg is not None,
        any_named=given.kwarg is not None,
        line=function.lineno,
    )


def defaults_of(function: Function) -> Mapping[str, ast.expr]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    optional = positional[len(positional) - len(given.defaults) :]
    found = {one.arg: default for one, default in zip(optional, given.defaults, strict=True)}
    by_name = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return found | {one.arg: default for one, default in by_name if default is not None}


def _type(argument: ast.arg, resolve: Resolve) -> FieldType | None:
    return type_of(argument.annotation, resolve) if argument.annotation is not None else None


def _in_class(one: Definition, name: str) -> Found | None:
    if one in (MODULE, EMPTY):
        return None
    if one.node is None:
        return Found(one)  # a class of dspy's or another package's, which may have it
    if one.node.decorator_list or one.node.keywords:
        return Found(one)
    found: Found | None = None
    for statement in one.node.body:
        if isinstance(statement, Function):
            if statement.name == name:
                found = Found(one, None if statement.decorator_list else statement)
        elif _may_bind(statement, name):
            found = Found(one)
    return found


def _may_bind(statement: ast.stmt, name: str) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or (isinstance(node, Function | ast.ClassDef) and node.name == name)
        or (isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"))
        for node in outside_functions(statement)
    )
