"""Reads the registry's YAML file; its errors say in which line and field."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from dspy_service_core.registry.catalogue import Catalogue, CatalogueEntry
from dspy_service_core.registry.packages import RunnerPackages

Entry = TypeVar("Entry", bound=CatalogueEntry)

DottedPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", max_length=256)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.?$", max_length=256)]
Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]*$", max_length=64)]


class RegistryError(Exception):
    """The registry or its catalogue cannot be used; the message names the file, the line and the field."""


def _short_form(value: Any) -> Any:
    """`cot: dspy.ChainOfThought` for `cot: {path: dspy.ChainOfThought}`."""
    return {"path": value} if isinstance(value, str) else value


class RegisteredAlias(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: DottedPath
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    compile_kwargs: dict[str, JsonValue] = Field(default_factory=dict)


AliasEntry = Annotated[RegisteredAlias, BeforeValidator(_short_form)]


class RegistryFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    modules: dict[Alias, AliasEntry] = Field(default_factory=dict)
    optimizers: dict[Alias, AliasEntry] = Field(default_factory=dict)
    allow: tuple[Prefix, ...] = ()
    catalogue: str = ""
    packages: str = ""


def read_file(path: Path) -> RegistryFile:
    text = _read(path)
    try:
        document = yaml.safe_load(text)
        return RegistryFile.model_validate({} if document is None else document)
    except yaml.YAMLError as exc:
        raise RegistryError(f"{path}{_marked(exc)}: no YAML: {getattr(exc, 'problem', exc)}") from exc
    except ValidationError as exc:
        raise RegistryError("\n".join(_problems(path, text, exc))) from exc


def read_catalogue(path: Path) -> Catalogue:
    return _read_as(Catalogue, path)


def read_packages(path: Path) -> RunnerPackages:
    return _read_as(RunnerPackages, path)


def _read_as(kind: type[Entry], path: Path) -> Entry:
    text = _read(path)
    try:
        return kind.model_validate(yaml.safe_load(text))  # JSON is YAML
    except yaml.YAMLError as exc:
        raise RegistryError(f"{path}{_marked(exc)}: neither JSON nor YAML: {getattr(exc, 'problem', exc)}") from exc
    except ValidationError as exc:
        raise RegistryError("\n".join(_problems(path, text, exc))) from exc


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise RegistryError(f"{path}: cannot be read: {exc}") from exc


def _marked(exc: yaml.YAMLError) -> str:
    mark = getattr(exc, "problem_mark", None)
    return f" line {mark.line + 1}" if mark else ""


def _problems(path: Path, text: str, exc: ValidationError) -> Iterator[str]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for error in exc.errors(include_url=False, include_input=False):
        where = [part for part in error["loc"] if part != "[key]"]
        field = ".".join(str(part) for part in where) or "the file"
        yield f"{path} line {_line(root, where)}: {field}: {error['msg']}"


def _line(node: yaml.Node | None, where: list[int | str]) -> int:
    """Line of the value that the path leads to, or of the last existing part of the path."""
    line = node.start_mark.line + 1 if node else 1
    for part in where:
        step = _child(node, part)
        if step is None:
            return line
        line, node = step
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
