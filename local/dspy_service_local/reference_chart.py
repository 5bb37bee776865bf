"""`docs/chart.md` from the chart's values.yaml: what each value means stands there, in the comments before it.

The comments are written as helm-docs reads them (`# -- `). That is a Go program, and `make check` needs Python alone;
what is read here is a small part of it: a comment of its own lines, directly before its key.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_VALUES = Path(__file__).parents[2] / "charts" / "dspy-service" / "values.yaml"
_MARK = "# -- "
_END = "...\n"
"""What YAML writes after a bare scalar."""

_HEAD = """# Values of the Helm chart

Generated from `charts/dspy-service/values.yaml`; `make generate` writes it anew.
[kubernetes.md](kubernetes.md) says how to install it.

| value | default | meaning |
|---|---|---|
"""


class Undocumented(Exception):
    """A value without a comment, or a comment without its value."""


def page() -> str:
    text = _VALUES.read_text()
    return _HEAD + "".join(
        f"| `{path}` | {_cell(_shown(default))} | {_cell(meaning)} |\n" for path, default, meaning in rows(text)
    )


def rows(text: str) -> Iterator[tuple[str, Any, str]]:
    """(dotted path, default, meaning), in the file's order."""
    meanings = dict(_comments(text.splitlines()))
    for path, default in _leaves(yaml.safe_load(text), (), meanings):
        yield path, default, meanings.pop(path)
    if meanings:
        raise Undocumented(f"comments without a value: {', '.join(meanings)}")


def _leaves(value: Any, path: tuple[str, ...], meanings: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """A map that has a comment is a value as a whole."""
    dotted = ".".join(path)
    if dotted in meanings:
        yield dotted, value
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name), meanings)
    else:
        raise Undocumented(f"{dotted} has no comment that begins with '{_MARK}'")


def _comments(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(dotted path, its comment): by indentation, which this file alone has to keep to."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in lines:
        words = line.strip()
        if words.startswith(_MARK):
            comment = [words.removeprefix(_MARK)]
        elif words.startswith("#") and comment:
            comment.append(words.removeprefix("#").strip())
        elif ":" in words and not words.startswith(("#", "-")):
            depth = len(line) - len(line.lstrip())
            path = [(at, name) for at, name in path if at < depth] + [(depth, words.partition(":")[0])]
            if comment:
                yield ".".join(name for _, name in path), " ".join(comment)
            comment = []


def _shown(default: Any) -> str:
    if default in (None, "", [], {}):
        return ""
    flow = yaml.safe_dump(default, default_flow_style=True, width=10_000)
    return f"`{flow.removesuffix(_END).strip()}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
