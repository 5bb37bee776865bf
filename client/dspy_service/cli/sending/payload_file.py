"""Payloads in files, and changes to them from the command line. Pure but for reading the file."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

Payload = dict[str, Any]
_PAIR = re.compile(r"[a-z_]+(\.[\w-]+)*=")
"""How settings of a model begin. The name of a model has a slash before any `=`."""
FILES = "program_files"
DEFAULTS: Mapping[str, Any] = {"module_name": "predict", "optimizer_name": "miprov2"}


def read_payload(path: Path) -> Payload:
    try:
        text = path.read_text(encoding="utf-8")
        payload = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except RecursionError:
        raise click.UsageError(f"{path} is nested too deeply.") from None
    except (ValueError, yaml.YAMLError) as error:  # no UTF-8, no JSON, no YAML
        raise click.UsageError(f"{path} cannot be read: {error}") from error
    if not isinstance(payload, dict):
        raise click.UsageError(f"{path} must hold one object: the payload of POST /run.")
    if payload.get("kind") == "OptimizationJob":
        raise click.UsageError(f"{path} is a Kubernetes resource: use kubectl apply -f {path}")
    return _with_files(payload, path.parent)


def _with_files(payload: Payload, folder: Path) -> Payload:
    """With the text of the file that stands for a code: `program_code: "@program.py"`, beside the payload's own."""
    code = {name: _text(value, folder) for name, value in payload.items() if name.endswith("_code")}
    files = payload.get(FILES)
    if isinstance(files, list):
        code[FILES] = program_files(folder, [folder / str(path) for path in files])
    elif isinstance(files, dict):
        code[FILES] = {path: _text(value, folder) for path, value in files.items()}
    return {**payload, **code}


def _text(value: Any, folder: Path) -> Any:
    """Of one line: code that begins with a decorator has more."""
    if not isinstance(value, str) or not value.startswith("@") or "\n" in value.strip():
        return value
    return read_text(folder / value[1:].strip())


def program_files(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """By their places below the program's folder; whole folders are theirs with all that is in them."""
    found = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    found = [file for file in found if not file.is_dir() and "__pycache__" not in file.parts]
    return {_place(file, folder): read_text(file) for file in found}


def _place(file: Path, folder: Path) -> str:
    try:
        return file.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise click.UsageError(f"{file} does not lie below {folder}, the program's folder.") from None


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read as text: {error}") from error


def changed(payload: Payload, given: Mapping[str, Any], settings: Iterable[str]) -> Payload:
    """The payload with the options' fields, then the settings' in their order, then the defaults of what is lacking."""
    for path, value in [*given.items(), *map(_setting, settings)]:
        payload = _with(payload, path.split("."), value)
    own = "program_code" in payload
    return {**{name: value for name, value in DEFAULTS.items() if not (own and name == "module_name")}, **payload}


def model_settings(text: str) -> dict[str, Any]:
    """The payload's fields of a further model: `judge=openai/x`, `judge={"name": "openai/x"}` or
    `judge=name=openai/x,temperature=0`."""
    name, equals, given = text.partition("=")
    place = f"model_configs.{name}"
    if not name or not equals or not given:
        raise click.UsageError(
            f"--model-config takes NAME=MODEL, NAME=KEY=VALUE,KEY=VALUE or NAME={{JSON}}, not '{text}'."
        )
    if given.startswith("{"):
        config = _parsed(given)
        if not isinstance(config, dict):
            raise click.UsageError(f"--model-config {name}: this is no JSON object: {given}")
        return {place: config}
    if not _PAIR.match(given):
        return {f"{place}.name": given}
    pairs = [part.partition("=") for part in given.split(",")]
    if wrong := next((key for key, equals, _ in pairs if not key or not equals), None):
        raise click.UsageError(f"--model-config {name}: '{wrong}' is no KEY=VALUE.")
    return {f"{place}.{key}": _parsed(value) for key, _, value in pairs}


def _setting(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not path or not equals:
        raise click.UsageError(f"--set takes KEY=VALUE, not '{text}'.")
    return path, _parsed(value)


def _parsed(value: str) -> Any:
    """Numbers, true, null, [lists] and {objects} as YAML has them, text otherwise."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _with(payload: Payload, path: list[str], value: Any) -> Payload:
    name, *rest = path
    if not rest:
        return {**payload, name: value}
    below = payload.get(name)
    return {**payload, name: _with(below if isinstance(below, dict) else {}, rest, value)}


def split_columns(text: str) -> dict[str, str | None]:
    """`a,b` or `field=column,...`; `field=` is one that no column holds the gold of."""
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    return {field: (column or None) if equals else field for field, equals, column in pairs}
