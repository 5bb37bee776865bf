"""Reads a signature's class and fields from its source without running it, so that a submit can be refused at once.

The API must never run user code. Whatever this reader is certain of is checked at the submit. Where the source leaves
doubt (a base class from elsewhere, a decorator, a class made by a call or under an `if`), it says so; then the job is
accepted, and the pod, which runs the code, decides. It never guesses, because a wrong guess would refuse working code.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from dspy_service_core.code.field_types import FieldType, type_of
from dspy_service_core.code.inheritance import fields_of, leaves_of, types_of
from dspy_service_core.code.source_names import Definition, Names, Unreadable, outside_functions
from dspy_service_core.code.source_text import costly, listed, parse
from dspy_service_core.errors import UnusableRequest

_KINDS = {"InputField": "input", "OutputField": "output"}
_CLASS_MAKERS = frozenset(
    {"builtins.type", "builtins.exec", "builtins.eval", "builtins.setattr", "builtins.globals", "types.new_class"}
)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HARMLESS = (*_NAMED, ast.Pass)


@dataclass(frozen=True, slots=True)
class SignatureSource:
    """`name` is None if only running the code would tell the class and its fields; `doubt` says why."""

    name: str | None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    types: Mapping[str, FieldType] = field(default_factory=dict)
    """Types of the fields whose type can be read from the source and whose cells can be checked."""
    doubt: str = ""


def read_signature(code: str, field: str = "signature_code") -> SignatureSource:
    """Raises `UnusableRequest` for what can only fail: a syntax error, no signature class, or several."""
    module = parse(code, field)
    try:
        found = _only_leaf(_definitions(module, field), field)
        fields = fields_of(found)
    except Unreadable as doubt:
        return SignatureSource(None, doubt=str(doubt))
    return SignatureSource(found.name, _of_kind(fields, "input"), _of_kind(fields, "output"), types_of(found))


def _of_kind(fields: Mapping[str, str], kind: str) -> tuple[str, ...]:
    return tuple(name for name, its in fields.items() if its == kind)


def _only_leaf(classes: list[Definition], field: str) -> Definition:
    leaves = leaves_of(classes)
    if not leaves:
        raise UnusableRequest(
            f"{field} defines no class derived from dspy.Signature; write it as `class Task(dspy.Signature): ...`."
        )
    if len(leaves) > 1:
        named = listed([c.name for c in leaves])
        raise UnusableRequest(f"{field} defines several signatures, {named}; keep one, or derive one from the others.")
    return leaves[0]


def _definitions(module: ast.Module, field: str) -> list[Definition]:
    """The signature classes that the module's names would refer to after it has run."""
    names = Names()
    for statement in module.body:
        _refuse_made_classes(statement, names)
        if isinstance(statement, ast.ClassDef):
            names.define(definition_of(statement, names, field))
        else:
            names.bind(statement)
    return names.signatures()


def _refuse_made_classes(statement: ast.stmt, names: Names) -> None:
    for node in outside_functions(statement):
        if isinstance(node, ast.Call) and (makes_class(node, names) or _makes_signature(node, names)):
            raise Unreadable(f"line {node.lineno} may make a class by a call")


def makes_class(call: ast.Call, names: Names) -> bool:
    """Whether the call may make a class of any kind."""
    made_by = names.resolve(call.func)
    if made_by == "builtins.type":
        return len(call.args) != 1
    return isinstance(made_by, str) and made_by in _CLASS_MAKERS


def _makes_signature(call: ast.Call, names: Names) -> bool:
    made_by = names.resolve(call.func)
    if isinstance(made_by, str):
        return made_by.endswith(".make_signature")
    # Ticket.with_instructions(...), Ticket.append(...): these make a new class with the same or other fields
    return isinstance(call.func, ast.Attribute) and names.is_signature(call.func.value)


def definition_of(node: ast.ClassDef, names: Names, field: str) -> Definition:
    bases = [names.base(base, node.name) for base in node.bases]
    if not any(base.is_signature for base in bases):
        return Definition(node.name, "plain")
    if node.decorator_list or node.keywords:
        raise Unreadable(f"class '{node.name}' is decorated or has keyword arguments")
    if not all(base.is_signature for base in bases):
        raise Unreadable(f"class '{node.name}' has a base that is no signature")
    fields: dict[str, str] = {}
    others: set[str] = set()
    for statement in node.body:
        if isinstance(statement, _NAMED):
            others.add(statement.name)
        fields |= _fields(statement, node.name, fields, names, field)
    types = _types(node.body, fields, names)
    return Definition(node.name, "signature", fields, types, frozenset(others), tuple(dict.fromkeys(bases)))


def _types(body: list[ast.stmt], fields: Mapping[str, str], names: Names) -> Mapping[str, FieldType]:
    """Without annotations that use a name which is also a field of the class: it no longer stands for a type."""
    found: dict[str, FieldType] = {}
    for statement in body:
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        annotation = _unquoted(statement.annotation)
        hidden = any(isinstance(node, ast.Name) and node.id in fields for node in ast.walk(annotation))
        if statement.target.id in fields and not hidden and (its := type_of(annotation, names.resolve)):
            found[statement.target.id] = its
    return found


def _fields(statement: ast.stmt, owner: str, earlier: Mapping[str, str], names: Names, field: str) -> Mapping[str, str]:
    """The fields that one statement of a signature's body declares."""
    if isinstance(statement, _HARMLESS):
        if getattr(statement, "name", None) in earlier:
            raise Unreadable(f"'{owner}' redefines a field")
        return {}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return {}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return _annotated(statement.target.id, statement, owner, names, field)
    if isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets):
        return _assigned([t.id for t in statement.targets if isinstance(t, ast.Name)], statement.value, owner, names)
    raise Unreadable(f"line {statement.lineno}, in the body of '{owner}'")


def _annotated(name: str, statement: ast.AnnAssign, owner: str, names: Names, field: str) -> Mapping[str, str]:
    annotation = _unquoted(statement.annotation)
    whole = names.resolve(annotation.value) if isinstance(annotation, ast.Subscript) else names.resolve(annotation)
    if isinstance(whole, str) and whole.endswith(".ClassVar"):
        return {}
    kind = _kind(statement.value, names) or _kind_inside(annotation, whole, names)
    if kind:
        return {name: kind}
    if name.startswith("_") or name == "model_config":
        return {}
    if not isinstance(statement.value, ast.Constant | None) or isinstance(annotation, ast.Subscript):
        raise Unreadable(f"field '{name}' of '{owner}' is declared by something other than dspy's functions")
    raise UnusableRequest(
        f"{field}: field '{name}' of signature '{owner}' (line {statement.lineno}) must be declared with "
        "dspy.InputField() or dspy.OutputField()."
    )


def _assigned(targets: list[str], value: ast.expr, owner: str, names: Names) -> Mapping[str, str]:
    kind = _kind(value, names)
    if kind:
        return dict.fromkeys(targets, kind)
    if all(name.startswith("_") or name == "model_config" for name in targets):
        return {}
    raise Unreadable(f"'{targets[0]}' of '{owner}' is not declared by dspy's functions")


def _unquoted(annotation: ast.expr) -> ast.expr:
    """The expression inside a quoted annotation. Its cost is checked again, because escapes can hide characters from
    the check of the whole source."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str) and not costly(annotation.value):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return annotation
    return annotation


def _kind_inside(annotation: ast.expr, whole: object, names: Names) -> str | None:
    """The last marker of `Annotated[type, dspy.InputField(), ...]`."""
    if not (isinstance(annotation, ast.Subscript) and isinstance(whole, str) and whole.endswith(".Annotated")):
        return None
    elements = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else []
    kinds = [kind for element in elements[1:] if (kind := _kind(element, names))]
    return kinds[-1] if kinds else None


def _kind(value: ast.expr | None, names: Names) -> str | None:
    function = names.resolve(value.func) if isinstance(value, ast.Call) else None
    if not isinstance(function, str) or not function.startswith("dspy."):
        return None
    return _KINDS.get(function.rpartition(".")[2])
