"""The programs of earlier jobs that `dspy.Ensemble` joins, as a job carries them: each as its own artifact has it.

The HTTP API copies them when the job is submitted, so that they stay when those jobs are removed. For a resource,
whoever makes it puts answers of `GET /jobs/{id}/artifact` (their `program_artifact`) into a ConfigMap.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dspy_service_core.code import source_text
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.sources import PROGRAM, SIGNATURE
from dspy_service_core.resource.spec.program_paths import refused

FEWEST, MOST = 2, 16
MOST_BYTES = 4 * 1024 * 1024
"""What all of them take together, as JSON: as much as the files of one program."""
_MODELS = "models"
"""The name under which code finds the job's models."""


class JoinedArguments(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    module: str | None = None
    class_name: str | None = Field(default=None, alias="class")
    kwargs: dict[str, Any] = Field(default_factory=dict)
    adapter: str = DEFAULT_ADAPTER


class JoinedProgram(BaseModel):
    """Further fields of an artifact are of no use here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    job_id: str = ""
    program_state: dict[str, Any]
    program_code: str | None = None
    signature_code: str | None = None
    program_files: dict[str, str] | None = None
    arguments: JoinedArguments
    secrets: tuple[str, ...] = ()
    """Variables that its code reads."""

    @property
    def files(self) -> Mapping[str, str]:
        return self.program_files or {}

    def sources(self) -> Iterator[tuple[str, str]]:
        """All of its Python, by name."""
        yield from (
            (name, text) for name, text in ((SIGNATURE, self.signature_code), (PROGRAM, self.program_code)) if text
        )
        yield from ((path, text) for path, text in self.files.items() if path.endswith(".py"))


_LIST = TypeAdapter(list[JoinedProgram])


def read_joined(document: Any) -> list[JoinedProgram]:
    """Raises `ValueError`, which says what is wrong where: `[1].program_state: Field required`."""
    try:
        programs = _LIST.validate_python(document)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}") from None
    for number, program in enumerate(programs):
        if program.program_code is None and (program.signature_code is None or program.arguments.module is None):
            raise ValueError(f"[{number}]: it holds neither program_code nor signature_code with arguments.module")
        if wrong := next(((path, why) for path in program.files if (why := refused(path))), None):
            raise ValueError(f"[{number}].program_files['{wrong[0]}']: {wrong[1]}")
    if not FEWEST <= len(programs) <= MOST:
        raise ValueError(f": {len(programs)} programs, and {FEWEST} to {MOST} can be joined")
    return programs


def named_models(program: JoinedProgram) -> frozenset[str]:
    """The models that its code asks for as `models["name"]`, as far as that is certain."""
    return frozenset(name for _, text in program.sources() for name in _asked_for(text))


def mentioned(names: Iterable[str], program: JoinedProgram) -> tuple[str, ...]:
    """Those of the names that stand anywhere in its Python."""
    texts = [text for _, text in program.sources()]
    return tuple(name for name in names if any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts))


def _asked_for(code: str) -> Iterator[str]:
    """Nothing where the code gives the name `models` a meaning of its own, or asks whether a model is there."""
    if _MODELS not in code:
        return
    try:
        nodes = list(ast.walk(source_text.parse(code, "")))
    except UnusableRequest:
        return
    if any(_is_own(node) for node in nodes):
        return
    for node in nodes:
        match node:
            case ast.Subscript(value=ast.Name(id="models"), slice=ast.Constant(value=str() as name)):
                yield name


def _is_own(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == _MODELS and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Compare):
        return any(isinstance(each, ast.Name) and each.id == _MODELS for each in node.comparators)
    return (isinstance(node, ast.arg) and node.arg == _MODELS) or (
        isinstance(node, ast.alias) and (node.asname or node.name) in (_MODELS, "*")
    )
