"""What commands print: foreign text is shown, never obeyed (`shown.py`). Nothing else here writes to stdout."""

from collections.abc import Iterable

import click

from dspy_service.display.shown import shown, shown_lines


def say(line: object, *, err: bool = False, bold: bool = False) -> None:
    """One line."""
    click.secho(shown(line), err=err, bold=bold or None)


def say_lines(lines: object, *, err: bool = False) -> None:
    """A text that may have several: a stack trace, a prompt."""
    click.echo(shown_lines(lines), err=err)


def say_row(cells: Iterable[object]) -> None:
    """Between tabs, for scripts."""
    click.echo("\t".join(map(shown, cells)))


def say_json(encoded: str) -> None:
    """What would steer a terminal even inside of a JSON string becomes one of JSON's own escapes."""
    click.echo("\n".join(_json_line(line) for line in encoded.split("\n")))


def _json_line(line: str) -> str:
    return "".join(c if shown(c) == c else _json_escape(c) for c in line)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
