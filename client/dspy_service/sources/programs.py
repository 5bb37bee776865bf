"""The program of a request from live objects: a class, an instance, or a signature.

DSPy's own `Predict` and `ChainOfThought` are the service's modules around a signature. Every other program is source:
of its class, with the constructor's arguments as far as JSON can carry them. An instance is rebuilt by the arguments
that made it, known from the statement that did, or from the attributes that keep them; what comes of that must have the
same predictors, and what they have learnt since goes along as a state.
"""

import ast
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service.errors import UnusableObject, UnusableSource, UnusableValue
from dspy_service.payload.json_values import json_value
from dspy_service.sources import signature_text
from dspy_service.sources.dspy_modules import arguments_of, constructor, is_module, is_of_dspy
from dspy_service.sources.expressions import Expressions
from dspy_service.sources.gathering import OTHERWISE, Gathering, Place, Source
from dspy_service.sources.module_text import BUILTIN, Statement

PROGRAM_MODULE = "user_program"
SIGNATURE_MODULE = "user_signature"
"""What the code is a module of in the job, for a metric's code to import from: docs/metrics.md."""
_ALIASES = {"Predict": "predict", "ChainOfThought": "cot"}
_CURE = "give module_kwargs={...}, or the class"


@dataclass(frozen=True)
class ProgramSource:
    """`module`: the name of the code's module in the job."""

    source: Source
    module: str
    fields: dict[str, Any]
    state: dict[str, Any] | None = None
    signature: Any = None
    """Of a program that is one predictor around it."""


def read_program(program: Any, kwargs: Mapping[str, Any], gathering: Gathering) -> ProgramSource:
    if signature_text.is_signature(program):
        return _of_signature(program, "predict", kwargs, gathering)
    if not is_module(program):
        raise UnusableObject(
            "program", f"is a {type(program).__name__}: give a dspy.Module, its class, a signature, or source as text"
        )
    if isinstance(program, type):
        return _of_class(program, kwargs, gathering)
    if is_of_dspy(program):
        return _of_dspy(program, kwargs, gathering)
    return _of_instance(program, kwargs, gathering)


def _of_signature(signature: Any, module: str, kwargs: Mapping[str, Any], gathering: Gathering) -> ProgramSource:
    writer = Expressions(gathering, "The signature")
    name = writer.of(signature, "task")
    source = joined(writer, name)
    return ProgramSource(
        source, SIGNATURE_MODULE, {"module_name": module, "module_kwargs": dict(kwargs)}, None, signature
    )


def _of_class(program: type, kwargs: Mapping[str, Any], gathering: Gathering) -> ProgramSource:
    place = gathering.place_of(program)
    if place is None:
        raise _nameless(program)
    lacking = [name for name in _required(program) if name not in kwargs]
    if lacking:
        raise UnusableSource(f"The constructor of {program.__name__} needs {', '.join(lacking)}: {_CURE} without.")
    return ProgramSource(gathering.source(place), PROGRAM_MODULE, _named(place.name, kwargs))


def _of_dspy(program: Any, kwargs: Mapping[str, Any], gathering: Gathering) -> ProgramSource:
    """Nothing of one of DSPy's modules is code of the caller but what it was given."""
    kind = type(program).__name__
    given = arguments_of(program)
    if given is None or program.callbacks:
        raise UnusableSource(f"How this dspy.{kind} was made cannot be read from it: define a dspy.Module around it.")
    if kind in _ALIASES:
        config = {name: value for name, value in given.items() if name != "signature"} | dict(kwargs)
        if _is_json(config):
            found = _of_signature(given["signature"], _ALIASES[kind], config, gathering)
            if not gathering.files.texts:
                return _with_state(found, type(program)(**given), program)
    writer = Expressions(gathering, f"The dspy.{kind}")
    arguments = ", ".join(f"{name}={writer.of(value, name)}" for name, value in (given | dict(kwargs)).items())
    source = joined(writer, "Program", _subclass("Program", f"dspy.{kind}", arguments))
    found = ProgramSource(source, PROGRAM_MODULE, _named("Program", {}), None, given.get("signature"))
    return _with_state(found, type(program)(**given), program)


def _of_instance(program: Any, kwargs: Mapping[str, Any], gathering: Gathering) -> ProgramSource:
    kind = type(program)
    place = gathering.place_of(kind)
    if place is None:
        raise _nameless(kind)
    call = None if kwargs else _call_that_made(program, gathering)
    if call:
        return _by_call(program, place, *call, gathering)
    given = dict(kwargs) or _kept_arguments(program)
    if _is_json(given):
        found = ProgramSource(gathering.source(place), PROGRAM_MODULE, _named(place.name, given))
        return _with_state(found, kind(**given), program)
    writer = Expressions(gathering, kind.__name__)
    arguments = ", ".join(f"{name}={writer.of(value, name)}" for name, value in given.items())
    writer.places.append(place)
    source = joined(writer, "Program", _subclass("Program", place.name, arguments))
    return _with_state(ProgramSource(source, PROGRAM_MODULE, _named("Program", {})), kind(**given), program)


def _nameless(kind: type) -> UnusableSource:
    """A cell that was run again, or a module that was loaded anew, leaves objects of a class that is no more."""
    if getattr(sys.modules.get(kind.__module__), kind.__qualname__, None):
        return UnusableSource(f"{kind.__qualname__} was defined anew since: make the object again.")
    return UnusableSource(f"{kind.__qualname__} has no name at the top level of its module: {OTHERWISE}")


def _call_that_made(program: Any, gathering: Gathering) -> tuple[Place, ast.Call] | None:
    place = gathering.place_of(program)
    statements = place.text.binding(place.name) if place else []
    for statement in reversed(statements):
        match ast.parse(statement.text).body:
            case [ast.Assign(value=ast.Call() as call)] | [ast.AnnAssign(value=ast.Call() as call)]:
                if place and ast.unparse(call.func).rpartition(".")[2] == type(program).__name__:
                    return place, call
    return None


def _by_call(program: Any, home: Place, made: Place, call: ast.Call, gathering: Gathering) -> ProgramSource:
    fresh = eval(compile(ast.Expression(call), "<program>", "eval"), vars(made.module))
    literal = _literal_arguments(type(program), call)
    if literal is not None and _is_json(literal):
        return _with_state(
            ProgramSource(gathering.source(home), PROGRAM_MODULE, _named(home.name, literal)), fresh, program
        )
    arguments = ", ".join([ast.unparse(arg) for arg in call.args] + [ast.unparse(keyword) for keyword in call.keywords])
    uses = Statement(f"_({arguments})", frozenset()).uses - BUILTIN - {"_"}
    places = [home, *(Place(made.module, made.text, name) for name in sorted(uses) if made.text.binds(name))]
    subclass = _subclass("Program", home.name, arguments)
    source = gathering.source(*places)
    source = Source("Program", (*source.statements, _definition(subclass, "Program")))
    return _with_state(ProgramSource(source, PROGRAM_MODULE, _named("Program", {})), fresh, program)


def _literal_arguments(kind: type, call: ast.Call) -> dict[str, Any] | None:
    try:
        args = [ast.literal_eval(arg) for arg in call.args]
        kwargs = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
        bound = inspect.signature(constructor(kind)).bind_partial(None, *args, **kwargs)
    except (ValueError, TypeError):
        return None
    if len(kwargs) != len(call.keywords):
        return None
    given = list(bound.arguments.items())[1:]
    return dict(given) if all(name not in ("args", "kwargs") for name, _ in given) else None


def _kept_arguments(program: Any) -> dict[str, Any]:
    given = arguments_of(program)
    if given is None:
        lacking = [name for name in _required(type(program)) if not hasattr(program, name)]
        raise UnusableSource(
            f"{type(program).__name__} does not keep what its constructor was given as {', '.join(lacking)}: {_CURE}."
        )
    return given


def _with_state(found: ProgramSource, fresh: Any, program: Any) -> ProgramSource:
    """What the predictors of the instance are beyond those of one just made."""
    first, second = dict(fresh.named_predictors()), dict(program.named_predictors())
    if changed := sorted(first.keys() ^ second.keys()) or [
        name for name in first if _fields(first[name]) != _fields(second[name])
    ]:
        raise UnusableSource(
            f"The predictors of this {type(program).__name__} are not those that its constructor makes "
            f"({', '.join(changed)}): {_CURE}."
        )
    _refuse_other_attributes(fresh, program)
    state = _state(program)
    return (
        found
        if state == _state(fresh)
        else ProgramSource(found.source, found.module, found.fields, state, found.signature)
    )


def _fields(predictor: Any) -> list[tuple[str, str]]:
    return [(name, repr(field.annotation)) for name, field in predictor.signature.fields.items()]


def _refuse_other_attributes(fresh: Any, program: Any) -> None:
    """What an attribute holds is in no state: set after the constructor, or given to it, it would be lost."""
    for name, value in vars(program).items() if not is_of_dspy(program) else ():
        other = vars(fresh).get(name)
        if _is_plain(value) and _is_plain(other) and value != other and not name.startswith("_"):
            raise UnusableSource(
                f"{type(program).__name__}.{name} is {value!r:.60} and {other!r:.60} when it is made anew: {_CURE} "
                "with it, if the constructor takes it."
            )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _state(program: Any) -> dict[str, Any]:
    state = program.dump_state()
    for predictor in (state, *state.values()):
        if isinstance(predictor, dict) and "signature" in predictor:
            predictor.update(lm=None, traces=[], train=[])
    plain: dict[str, Any] = json_value(state, "initial.program_state")
    return plain


def _subclass(name: str, base: str, arguments: str) -> str:
    return f"class {name}({base}):\n    def __init__(self):\n        super().__init__({arguments})\n"


def joined(writer: Expressions, name: str, last: str = "") -> Source:
    """What was written, with what its names need, and a last statement that binds the name."""
    statements = list(writer.gathering.source(*writer.places).statements) if writer.places else []
    imports = [Statement(text, frozenset({text.split()[-1]}), is_import=True) for text in writer.imports]
    written = [_definition(text, text.split("(")[0].removeprefix("class ")) for text in writer.definitions]
    end = [_definition(last, name)] if last else []
    bound = {name for statement in statements for name in statement.binds}
    if "dspy" not in bound and any("dspy" in statement.uses for statement in (*written, *end)):
        imports.insert(0, Statement("import dspy", frozenset({"dspy"}), is_import=True))
    future = [statement for statement in statements if statement.is_future]
    rest = [statement for statement in statements if not statement.is_future]
    return Source(name, (*future, *imports, *rest, *written, *end))


def _definition(text: str, name: str) -> Statement:
    return Statement(f"\n\n{text.rstrip()}", frozenset({name}), is_definition=True)


def _named(name: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"module_name": name, "module_kwargs": json_value(dict(kwargs), "module_kwargs")}


def _required(kind: type) -> list[str]:
    parameters = list(inspect.signature(constructor(kind)).parameters.values())[1:]
    fixed = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in fixed]


def _is_json(value: Any) -> bool:
    try:
        return bool(json_value(value) == value)
    except UnusableValue:
        return False
