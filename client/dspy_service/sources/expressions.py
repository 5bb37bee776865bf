"""Live values as Python expressions, with all that their names need: what a generated program or metric is written of.

What has a name at the top level of a module is that name; what has none is written by how it was made, where its
object still knows it. DSPy's own objects keep their constructor's arguments. All else is refused by name.
"""

import enum
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dspy_service.errors import UnusableSource
from dspy_service.payload.models import is_model
from dspy_service.sources import live_values, signature_text
from dspy_service.sources.dspy_modules import arguments_of, is_of_dspy
from dspy_service.sources.gathering import OTHERWISE, Gathering, Place
from dspy_service.sources.homes import is_installed


@dataclass
class Expressions:
    """`what`: the object that is written, for messages."""

    gathering: Gathering
    what: str
    places: list[Place] = field(default_factory=list)
    imports: dict[str, None] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=list)

    def of(self, value: Any, said: str = "") -> str:
        """`said`: what the value is of its owner."""
        if is_model(value):
            return f'models["{self.gathering.known_model(said or "model", value)}"]'
        for is_one, write in self._kinds():
            if is_one(value):
                return write(value, said)
        if (text := live_values.literal(value)) is not None:
            return text
        live_values.refuse_unsendable(said or type(value).__name__, value, self.what)
        raise UnusableSource(self._unknown(value, said))

    def _kinds(self) -> tuple[tuple[Callable[[Any], bool], Callable[[Any, str], str]], ...]:
        return (
            (lambda v: isinstance(v, enum.Enum), lambda v, said: f"{self.of(type(v), said)}.{v.name}"),
            (signature_text.is_signature, self._signature),
            (lambda v: type(v) in (list, tuple, set, dict), self._container),
            (lambda v: isinstance(v, types.BuiltinFunctionType | type) and v.__module__ == "builtins", _name),
            (self._is_named, self._named),
            (lambda v: isinstance(v, functools.partial), self._partial),
            (lambda v: isinstance(v, types.MethodType), self._method),
            (lambda v: is_of_dspy(v, "Tool"), self._tool),
            (lambda v: type(v).__name__ == "FieldInfo", lambda v, _: signature_text.field_call(v, self.of)),
            (lambda v: is_of_dspy(v) and not isinstance(v, type), self._of_dspy),
        )

    def _is_named(self, value: Any) -> bool:
        return self.gathering.place_of(value) is not None or _installed_name(value) is not None

    def _named(self, value: Any, _said: str) -> str:
        if place := self.gathering.place_of(value):
            self.places.append(place)
            return place.name
        module, name = _installed_name(value) or ("", "")
        if getattr(sys.modules.get("dspy"), name, None) is value:
            return f"dspy.{name}"
        self.gathering.files.add_imports(f"import {module}", self.what)
        self.imports[f"from {module} import {name}"] = None
        return name

    def _container(self, value: Any, said: str) -> str:
        if isinstance(value, Mapping):
            pairs = (f"{self.of(key, said)}: {self.of(item, f'{said}_{key}')}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        parts = ", ".join(self.of(item, said) for item in value)
        if isinstance(value, tuple):
            return f"({parts}{',' if len(value) == 1 else ''})"
        return f"[{parts}]" if isinstance(value, list) else f"{{{parts}}}" if value else "set()"

    def _partial(self, value: "functools.partial[Any]", said: str) -> str:
        self.imports["import functools"] = None
        given = {"": value.func} | {str(n): arg for n, arg in enumerate(value.args)}
        keywords = [f"{name}={self.of(item, name)}" for name, item in value.keywords.items()]
        return f"functools.partial({', '.join([*(self.of(item, said) for item in given.values()), *keywords])})"

    def _method(self, value: types.MethodType, said: str) -> str:
        return f"{self.of(value.__self__, said)}.{value.__name__}"

    def _tool(self, tool: Any, said: str) -> str:
        """One of a plain function is written by it alone, if it is what DSPy makes of that function."""
        function = self.of(tool.func, tool.name or said)
        plain = type(tool)(tool.func)
        differs = [name for name in ("name", "desc", "args") if getattr(plain, name) != getattr(tool, name)]
        given = "".join(f", {name}={self.of(getattr(tool, name), name)}" for name in differs)
        return f"dspy.Tool({function}{given})" if differs else function

    def _of_dspy(self, value: Any, said: str) -> str:
        return f"{self.of(type(value), said)}({self.arguments(value)})"

    def arguments(self, value: Any) -> str:
        given = arguments_of(value)
        if given is None:
            raise UnusableSource(self._unknown(value, ""))
        return ", ".join(f"{name}={self.of(item, name)}" for name, item in given.items())

    def _signature(self, signature: Any, said: str) -> str:
        if named := self._same_signature(signature):
            return self._named(named, said)
        name = f"{(said or 'a').title().replace('_', '')}Signature"
        name = name if name.isidentifier() else "TaskSignature"
        taken = sum(name in text for text in self.definitions)
        name = f"{name}{taken + 1}" if taken else name
        self.definitions.append(signature_text.write(signature, name, self.of, self.imports))
        return name

    def _same_signature(self, signature: Any) -> Any:
        """The class as it is written, or one that is written and says the same: `ChainOfThought` keeps a copy."""
        if self._is_named(signature):
            return signature
        for module in list(sys.modules.values()):
            if not isinstance(module, types.ModuleType) or is_installed(module):
                continue
            for other in list(vars(module).values()):
                is_same = signature_text.is_signature(other) and signature_text.equal(other, signature)
                if is_same and self.gathering.place_of(other):
                    return other
        return None

    def _unknown(self, value: Any, said: str) -> str:
        name = getattr(value, "__qualname__", None) or type(value).__name__
        role = f" ({said})" if said else ""
        hidden = getattr(getattr(value, "__code__", None), "co_freevars", ())
        kept = f", and keeps {', '.join(hidden)} of the function that made it" if hidden else ""
        of = f"{self.what}: " if name != self.what else ""
        return f"{of}{name}{role} has no name at the top level of its module{kept}: define it there, or {OTHERWISE}"


def _name(value: Any, _said: str) -> str:
    return str(value.__name__)


def _installed_name(value: Any) -> tuple[str, str] | None:
    """Of what a package's module or the standard library has under its own name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    home = sys.modules.get(module or "")
    if home is None or name is None or not is_installed(home) or module == "builtins":
        return None
    return (home.__name__, name) if inspect.getattr_static(home, name, None) is value else None
