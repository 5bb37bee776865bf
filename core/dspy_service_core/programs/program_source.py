"""Reads a program's source without running it, so that a submit can be refused at once for what can only fail.

The class to optimize, what its constructor and its `forward` take, and the predictors that can be seen. What only
running the code would tell is None here, and the pod's to find out. As for signatures, it never guesses, because a
wrong guess would refuse working code.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dspy_service_core.code.source_names import Definition
from dspy_service_core.code.source_text import listed, parse
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.programs.parameters import Found, Parameters, find, methods
from dspy_service_core.programs.predictor_count import Count, count_in
from dspy_service_core.programs.predictors import Made, Predictor, made_by
from dspy_service_core.programs.program_names import ProgramFiles, ProgramNames


@dataclass(frozen=True, slots=True)
class ProgramText:
    code: str
    name: str = ""
    """The class to optimize, if the sender names it."""
    files: Mapping[str, str] = field(default_factory=dict)
    signature: str | None = None
    """Source that runs first, and whose names the program sees."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The sender's names for the parts of a program, for messages."""

    code: str = "program_code"
    name: str = "module_name"
    files: str = "program_files"
    signature: str = "signature_code"


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """What is None only running the code would tell."""

    name: str | None
    constructor: Parameters | None = None
    forward: Parameters | None = None
    predictors: tuple[Predictor, ...] = ()
    """Those that constructors are seen to make, which need not be all."""
    predictor_count: int | None = None
    doubt: str = ""
    """Why the class is not known."""


def read_program(text: ProgramText, fields: Fields | None = None) -> ProgramSource:
    """Raises `UnusableRequest` for what can only fail."""
    called = fields or Fields()
    names = ProgramNames(ProgramFiles(text.files, called.files))
    if text.signature is not None:
        names.read(parse(text.signature, called.signature), called.signature)
    beside = len(names.classes)
    names.read(parse(text.code, called.code), called.code)
    chosen = _named(text.name, names, called) if text.name else _only(names, names.classes[beside:], called)
    if chosen is None:
        return ProgramSource(text.name or None, doubt=names.doubt or "its class comes from elsewhere")
    return _described(chosen, called.code)


def _named(name: str, names: ProgramNames, called: Fields) -> Definition | None:
    found = names.meaning(name)
    if not names.binds(name) and not names.has_foreign_star and not names.doubt:
        known = listed([one.name for one in names.classes if one.kind == "module"])
        has = f"Its modules: {known}" if known else "It defines no class derived from dspy.Module"
        raise UnusableRequest(f"{called.name}: '{name[:80]}' is no class in {called.code}. {has}.")
    if not isinstance(found, Definition) or found.kind == "unknown":
        return None
    if found.kind != "module":
        raise UnusableRequest(f"{called.name}: class '{name[:80]}' in {called.code} does not derive from dspy.Module.")
    return found


def _only(names: ProgramNames, classes: list[Definition], called: Fields) -> Definition | None:
    """The only module that no other class derives from or builds."""
    held = [one for one in classes if names.meaning(one.name) is one]
    used = _used(held)
    modules = [one for one in held if one.kind == "module"]
    free = [one for one in modules if one not in used]
    in_doubt = bool(names.doubt) or any(one.kind == "unknown" for one in held if one not in used)
    if len(free) > 1 or (len(modules) > 1 and not free):
        said = listed([one.name for one in free or modules])
        raise UnusableRequest(
            f"{called.code} defines several modules, {said}; name the one to optimize in {called.name}."
        )
    if not modules and not in_doubt and not names.has_foreign_star and not _imports_classes(names):
        raise UnusableRequest(
            f"{called.code} defines no class derived from dspy.Module; write it as `class Program(dspy.Module): ...` "
            "with a forward, which makes its predictors in __init__."
        )
    return free[0] if free and not in_doubt else None


def _used(classes: list[Definition]) -> set[Definition]:
    """The classes that another one derives from, or that a method of a module mentions."""
    found: set[Definition] = set()
    for one in classes:
        found.update(one.bases)
        for method in methods(one) if one.kind in ("module", "unknown") else ():
            nodes = (node for statement in method.body for node in ast.walk(statement))
            meanings = {
                one.scope.resolve(node) for node in nodes if isinstance(node, ast.Name) and one.scope is not None
            }
            found.update(meaning for meaning in meanings if isinstance(meaning, Definition) and meaning is not one)
    return found


def _imports_classes(names: ProgramNames) -> bool:
    """Whether a module of another file may be meant."""
    return any(isinstance(found, Definition) and found.kind in ("module", "unknown") for found in names.imported())


def _described(chosen: Definition, code: str) -> ProgramSource:
    constructor, forward = find(chosen, "__init__"), _forward(chosen, code)
    made, count = made_by(chosen), count_in(chosen)
    for problem in _problems(chosen, forward.parameters(), made, count):
        raise UnusableRequest(f"{code}: {problem}.")
    takes = Parameters() if constructor.owner is None else constructor.parameters()
    return ProgramSource(chosen.name, takes, forward.parameters(), made.by_constructors, count.visible)


def _forward(chosen: Definition, code: str) -> Found:
    """`aforward` where there is no `forward`: the pod makes it one."""
    for name in ("forward", "aforward", "__call__", "acall", "__getattr__", "__getattribute__"):
        if (found := find(chosen, name)).owner is not None:
            return found if name.endswith("forward") else Found(found.owner)
    raise UnusableRequest(
        f"{code}: class '{chosen.name[:80]}' has no forward; define `def forward(self, ...)` with its inputs."
    )


def _problems(chosen: Definition, forward: Parameters | None, made: Made, count: Count) -> Iterator[str]:
    name = f"class '{chosen.name[:80]}'"
    if forward is not None:
        where = f"forward of {name} (line {forward.line})"
        if forward.positional_only:
            given = listed(list(forward.positional_only))
            yield f"{where} takes {given} by position only, and rows arrive by name: leave out the '/'"
        elif not forward.named and not forward.any_named:
            how = "takes its inputs as *args" if forward.any_positional else "takes no inputs"
            yield f"{where} {how}, and rows arrive by name: name its parameters, such as forward(self, question)"
    if count.visible == 0:
        yield f"{name} has no predictor that an optimizer sees: {_cure(made, count)}"


def _cure(made: Made, count: Count) -> str:
    seen = "give each to an attribute in __init__, or to a list or dict that is one"
    if count.hidden:
        return f"they lie in a list or dict inside another one, where DSPy does not look; {seen}"
    if made.elsewhere:
        first = made.elsewhere[0]
        return f"{first.module} is made on line {first.line}, when the program is called; {seen}"
    return f"its __init__ makes none; {seen}"
