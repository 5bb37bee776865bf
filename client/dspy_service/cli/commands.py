"""The group that finds its commands by name, imports the one that is called, and turns errors into exit codes."""

import importlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from dspy_service.cli import exits
from dspy_service.cli.said import say_lines
from dspy_service.errors import DspyServiceError, InvalidPayload

ENTRY_POINTS = "dspy_service.commands"
OWN = {
    "submit": "dspy_service.cli.sending.submit:command",
    "estimate": "dspy_service.cli.sending.estimate:command",
    "list": "dspy_service.cli.reading.list_jobs:command",
    "show": "dspy_service.cli.reading.show:command",
    "watch": "dspy_service.cli.reading.watch:command",
    "logs": "dspy_service.cli.reading.logs:command",
    "payload": "dspy_service.cli.sending.payload:command",
    "candidates": "dspy_service.cli.reading.candidates:command",
    "rows": "dspy_service.cli.reading.rows:command",
    "artifact": "dspy_service.cli.reading.artifact:command",
    "cancel": "dspy_service.cli.control:cancel",
    "stop": "dspy_service.cli.control:stop",
    "pause": "dspy_service.cli.control:pause",
    "resume": "dspy_service.cli.control:resume",
    "catalogue": "dspy_service.cli.sending.catalogue:command",
    "delete": "dspy_service.cli.delete:command",
    "inspect": "dspy_service.cli.reading.inspect_program:command",
}


class CommandGroup(click.Group):
    """`found` are the entry points to offer; by default those installed."""

    def __init__(self, *args: Any, found: Sequence[EntryPoint] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._found = {point.name: point for point in (entry_points(group=ENTRY_POINTS) if found is None else found)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*sorted(self._found), *OWN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in OWN:
            module, _, attribute = OWN[name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        return _load(self._found[name]) if name in self._found else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DspyServiceError as error:
            say_lines(f"Error: {_told(error)}", err=True)
            ctx.exit(exits.exit_code(error))
        except KeyboardInterrupt:
            ctx.exit(exits.INTERRUPTED)


def _told(error: DspyServiceError) -> str:
    if isinstance(error, InvalidPayload):
        return "the service refuses the payload:\n" + "\n".join(f"{p.field}: {p.message}" for p in error.problems)
    return str(error)


def _load(point: EntryPoint) -> click.Command:
    try:
        command: click.Command = point.load()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dspy_service"):
            raise  # a part of this very distribution: broken, not missing
        return _missing(point.name, error.name or str(error))
    return command


def _missing(name: str, module: str) -> click.Command:
    """Stands in for a command whose libraries are not installed; says so when it is called, whatever its options."""

    @click.command(
        name,
        short_help=f"(not installed: needs dspy-service[local], module {module} is missing)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )
    def command() -> None:
        raise click.UsageError(
            f"'{name}' needs what is not installed here (Python module '{module}'). "
            "Install it with: pip install 'dspy-service[local]'"
        )

    return command
