"""`dspy-service estimate [FILE]`: what a submit of the same would make, without making it."""

from collections.abc import Iterator
from typing import Any

import click

from dspy_service.answers import DryRun, Estimated
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say
from dspy_service.cli.sending.payload_options import payload_given, payload_options


@click.command("estimate", short_help="Check a payload and say what its job would call.")
@payload_options
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, /, output: str, **options: Any) -> None:
    """Check a payload, given as to `submit`, and say how its rows are split and what its job would call: ranges, each
    with the rule that it follows from. Nothing is stored, and no model is asked."""
    found = connect(ctx).estimate(payload_given(**options))
    if output == "json":
        print_json(found)
        return
    for warning in found.warnings:
        say(f"Warning: {warning}", err=True)
    for line in _lines(found):
        say(line)


def _lines(found: DryRun) -> Iterator[str]:
    rows, estimate = found.split_counts, found.estimate
    yield f"rows          {rows.train} train, {rows.val} val, {rows.test} test"
    yield from _of("metric calls", estimate.metric_calls)
    yield from _of("model calls", estimate.model_calls)
    yield from _of("tokens", estimate.tokens)
    yield from _of("cost in USD", estimate.cost_usd)


def _of(name: str, quantity: Estimated) -> Iterator[str]:
    yield f"{name:<12}  {_range(quantity)}"
    yield f"{'':<12}  {quantity.rule}"


def _range(quantity: Estimated) -> str:
    if quantity.least is None:
        return "unknown"
    if quantity.most is None:
        return f"at least {quantity.least}"
    return f"{quantity.least}" if quantity.least == quantity.most else f"{quantity.least} to {quantity.most}"
