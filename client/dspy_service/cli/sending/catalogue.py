"""`dspy-service catalogue`."""

from collections.abc import Iterable, Iterator

import click
from rich.console import Console
from rich.table import Table

from dspy_service.answers import Argument, Catalogue, CatalogueModule, CatalogueOptimizer
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say_row
from dspy_service.display.texts import text

_COLUMNS = ("kind", "name", "path", "arguments")
KINDS = ("all", "modules", "optimizers", "packages")


@click.command("catalogue", short_help="Show what jobs may name, and what is installed where they run.")
@click.option("--which", type=click.Choice(KINDS), default="all", show_default=True, help="Which part.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(ctx: click.Context, which: str, output: str) -> None:
    """Print the service's modules and optimizers with the arguments that a job can give them, and the packages that its
    code can import."""
    found = connect(ctx).catalogue()
    if output == "json":
        print_json(found if which == "all" else getattr(found, which))
        return
    rows = list(_rows(found, which))
    console = Console()
    if not console.is_terminal:
        for row in rows:
            say_row(row)
        return
    table = Table(*_COLUMNS, box=None)
    for row in rows:
        table.add_row(*map(text, row))
    console.print(table)


def _rows(found: Catalogue, which: str) -> Iterator[tuple[str, ...]]:
    if which in ("all", "modules"):
        yield from (_row("module", each, each.arguments) for each in found.modules)
    if which in ("all", "optimizers"):
        yield from (_row("optimizer", each, each.arguments + each.compile_arguments) for each in found.optimizers)
    if which in ("all", "packages"):
        yield "python", "python", found.python, ""
        yield from (("package", name, version, "") for name, version in found.packages.items())


def _row(kind: str, each: CatalogueModule | CatalogueOptimizer, arguments: Iterable[Argument]) -> tuple[str, ...]:
    takes = ", ".join(_argument(its) for its in arguments if its.set_by_service is None and its.refused is None)
    return kind, ", ".join(each.aliases), each.path, f"cannot be named: {each.refused}" if each.refused else takes


def _argument(its: Argument) -> str:
    return its.name if its.required or its.default is None else f"{its.name}={its.default}"
