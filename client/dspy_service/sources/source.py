"""The code of a request: of its program or signature, of its metric, and the project's files that both import.

A payload carries source, not objects. Whatever a name of a module's top level stands for can be sent, as the statements
that make it: a function with its helpers, a decorated one, a partial, a signature made by a call.
"""

import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from dspy_service.errors import UnusableSource
from dspy_service.sources.dspy_modules import is_module
from dspy_service.sources.expressions import Expressions
from dspy_service.sources.gathering import OTHERWISE, Gathering, Source
from dspy_service.sources.homes import homes_of
from dspy_service.sources.module_text import BUILTIN, Statement, read_module
from dspy_service.sources.programs import PROGRAM_MODULE, SIGNATURE_MODULE, ProgramSource, joined, read_program
from dspy_service.sources.rename import renamed
from dspy_service.sources.signature_text import is_signature

_METRIC = "metric"
"""The service takes the function of this name."""
_PASSED = ("gold", "pred", "trace=None", "pred_name=None", "pred_trace=None")


class Code:
    """What a request says of its program and metric, gathered from objects, texts and files."""

    def __init__(
        self,
        program: Any,
        signature: Any,
        metric: Any,
        kwargs: Mapping[str, Any],
        models: Mapping[str, Any],
        packages: Callable[[], Collection[str] | None] = lambda: None,
        secrets: Collection[str] = (),
    ) -> None:
        given = (program, signature, metric, kwargs)
        self.gathering = Gathering(dict(models), packages, secrets)
        self._read(*given)
        if shared := self.gathering.homes & self.gathering.files.modules.keys():
            # A file of the project imports the very module that is sent in part: its names are taken from there.
            self.gathering = Gathering(dict(models), packages, secrets, frozenset(shared))
            self._read(*given)

    def _read(self, program: Any, signature: Any, metric: Any, kwargs: Mapping[str, Any]) -> None:
        self.fields: dict[str, Any] = {}
        self.program: ProgramSource | None = None
        beside: tuple[Source, str] | None = None
        if program is not None and not is_text(program):
            self.program = read_program(program, kwargs, self.gathering)
            name = "program_code" if self.program.module == PROGRAM_MODULE else "signature_code"
            self.fields = {**self.program.fields, name: self.program.source.text}
            beside = self.program.source, self.program.module
        elif program is not None:
            self.fields = {"program_code": text_of(program)}
        if signature is not None:
            source = None if is_text(signature) else source_of(signature, self.gathering)
            self.fields["signature_code"] = source.text if source else text_of(signature)
            beside = beside or ((source, SIGNATURE_MODULE) if source else None)
        self.fields["metric_code"] = metric_text(metric, beside, self.gathering)
        if self.gathering.files.texts:
            self.fields["program_files"] = dict(self.gathering.files.texts)


def sources_of(signature: Any, metric: Any) -> tuple[str, str]:
    """Text, files and objects; of an object that is in both, the metric gets the signature's own: a class that is
    defined twice is two classes, and no value of the one is equal to one of the other.
    """
    code = Code(None, signature, metric, {}, {})
    return code.fields["signature_code"], code.fields["metric_code"]


def is_text(thing: Any) -> bool:
    return isinstance(thing, str | Path)


def text_of(thing: str | Path) -> str:
    if isinstance(thing, Path):
        return thing.read_text(encoding="utf-8")
    return textwrap.dedent(thing).strip() + "\n"


def metric_text(metric: Any, beside: tuple[Source, str] | None, gathering: Gathering) -> str:
    """`beside`: the code whose names it may import, and its module's name."""
    if is_text(metric):
        return text_of(metric)
    source = source_of(metric, gathering)
    first, module = beside or (None, "")
    shared = [s for s in source.statements if first and s in first.statements and not s.is_import]
    own = [s for s in source.statements if s not in shared]
    used = {name for statement in own for name in statement.uses}
    borrowed = sorted({name for statement in shared for name in statement.binds} & (used | {source.name}))
    lines = [f"from {module} import {', '.join(borrowed)}"] if borrowed else []
    place = next((n for n, s in enumerate(own) if not s.is_import), len(own))
    texts = [s.text for s in own[:place]] + lines + [s.text for s in own[place:]]
    if source.name != _METRIC or _passed(metric):
        texts = [*renamed(texts, _METRIC), _called_metric(metric, source.name)]
    return "".join(f"{text}\n" for text in texts)


def _called_metric(metric: Any, name: str) -> str:
    """Under the name that the service looks for, taking what it passes and no argument that only looks like it."""
    if passed := _passed(metric):
        name = f"_{name}" if name == _METRIC else name
        names = [argument.partition("=")[0] for argument in passed]
        return f"\n\ndef {_METRIC}({', '.join(passed)}):\n    return {name}({', '.join(names)})"
    return f"{_METRIC} = {name}"


def _passed(metric: Any) -> tuple[str, ...]:
    """Of a program that judges, what its `forward` takes; of a function with further arguments of its own, the first
    three. Empty where it takes just what is passed."""
    if is_module(metric):
        return _PASSED[: max(2, _positional(metric.forward))]
    if not inspect.isfunction(metric) or _positional(metric) != len(_PASSED) - 1:
        return ()
    third, fourth = list(inspect.signature(metric).parameters)[2:4]
    return _PASSED[:3] if third == "trace" and fourth != "pred_name" else ()


def _positional(function: Any) -> int:
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds for parameter in parameters)


def source_of(thing: Any, gathering: Gathering) -> Source:
    if not callable(thing):
        raise UnusableSource(f"{thing!r} is no function, no class, no text and no Path.")
    if place := gathering.place_of(thing):
        return gathering.source(place)
    if any(True for _ in homes_of(thing)) and not is_signature(thing) and (alone := _source_alone(thing)):
        return alone
    what = getattr(thing, "__qualname__", None) or type(thing).__name__
    writer = Expressions(gathering, what)
    expression = writer.of(thing)
    if expression.isidentifier():
        return joined(writer, expression)
    return joined(writer, "_judge", f"_judge = {expression}")


def _source_alone(thing: Any) -> Source | None:
    """At a prompt whose lines Python remembers: `dspy` is there without an import, all else must be in the source."""
    if not any(vars(module).get("__file__") is None for module, _ in homes_of(thing)):
        return None
    name = getattr(thing, "__qualname__", None) or repr(thing)
    try:
        (statement,) = read_module(textwrap.dedent(inspect.getsource(thing))).statements
    except (OSError, TypeError, ValueError, SyntaxError) as exc:
        raise UnusableSource(f"The source of {name} cannot be found: define it in a file, or {OTHERWISE}") from exc
    if lacking := sorted(statement.uses - BUILTIN - {name, "dspy"}):
        raise UnusableSource(f"{name} uses {', '.join(lacking)}, whose source cannot be found: {OTHERWISE}")
    return Source(name, (Statement(statement.text, frozenset({name}), is_definition=True),))
