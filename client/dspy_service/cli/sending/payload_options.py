"""The options by which a payload is given on the command line, in place of a file or to change what is in one."""

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from dspy_service.build import columns
from dspy_service.cli.sending.payload_file import (
    FILES,
    Payload,
    changed,
    model_settings,
    program_files,
    read_payload,
    read_text,
    split_columns,
)
from dspy_service.payload.models import model_config
from dspy_service.payload.rows import read_rows

Function = Callable[..., Any]
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS: tuple[Callable[[Function], Function], ...] = (
    click.argument("file", type=_FILE, required=False),
    click.option("--program", type=_FILE, help="Python file with the dspy.Module."),
    click.option(
        "--file",
        "files",
        type=click.Path(exists=True, path_type=Path),
        multiple=True,
        help="A further file of the program, or a folder of them, in or below the folder of --program.",
    ),
    click.option("--signature", type=_FILE, help="Python file with the dspy.Signature."),
    click.option("--metric", type=_FILE, help="Python file with the metric function."),
    click.option("--dataset", type=_FILE, help="Rows: CSV, TSV, JSON, JSON Lines or Parquet."),
    click.option("--inputs", help="Input fields: a,b or field=column,..."),
    click.option("--outputs", help="Output fields, likewise; field= for one without gold."),
    click.option("--module", help="predict, cot or a dotted path; the class in --program.  [default: predict]"),
    click.option("--optimizer", help="miprov2, gepa, ... or a dotted path.  [default: miprov2]"),
    click.option("--model", help="As DSPy writes it: openai/gpt-4o-mini."),
    click.option("--base-url", help="The model's endpoint, where it is not the provider's own."),
    click.option(
        "--model-config",
        "model_configs",
        multiple=True,
        metavar="NAME=MODEL",
        help="A further model, such as a judge: judge=openai/gpt-4o, judge=name=...,temperature=0 or judge={JSON}.",
    ),
    click.option(
        "--adapter", type=click.Choice(["chat", "json", "xml"]), help="How prompts are written.  [default: chat]"
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME",
        help="An environment variable that the job's code finds too, with its value here.",
    ),
    click.option("--name", help="What the job is called, beside its id; free again when it has ended."),
    click.option("--note", help="What you want to remember of it."),
    click.option(
        "--threads", type=int, metavar="N", help="How many model calls may be under way at once.  [default: found]"
    ),
    click.option("--hedge", is_flag=True, default=None, help="Make very slow model calls once more; both count."),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any field: optimizer_kwargs.auto=light."
    ),
)


def payload_options(command: Function) -> Function:
    """FILE, and an option for each field of a payload that people often change; `payload_given` reads them."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


def payload_given(file: Path | None, settings: tuple[str, ...], **options: Any) -> Payload:
    return changed(read_payload(file) if file else {}, _given(**options), settings)


def _given(
    program: Path | None,
    files: tuple[Path, ...],
    signature: Path | None,
    metric: Path | None,
    dataset: Path | None,
    inputs: str | None,
    outputs: str | None,
    module: str | None,
    optimizer: str | None,
    model: str | None,
    base_url: str | None,
    model_configs: tuple[str, ...],
    adapter: str | None,
    secrets: tuple[str, ...],
    name: str | None,
    note: str | None,
    threads: int | None,
    hedge: bool | None,
) -> dict[str, Any]:
    """The payload's fields that options speak of, by their dotted paths."""
    given: dict[str, Any] = {
        "program_code": program and read_text(program),
        FILES: _program_files(program, files),
        "signature_code": signature and read_text(signature),
        "metric_code": metric and read_text(metric),
        "dataset": dataset and read_rows(dataset),
        "column_mapping.inputs": inputs and columns(split_columns(inputs)),
        "column_mapping.outputs": outputs and columns(split_columns(outputs)),
        "module_name": module,
        "optimizer_name": optimizer,
        "model_config": model and model_config(model),
        "model_config.base_url": base_url,
        "adapter": adapter,
        "secrets": _environment(secrets),
        "run_options.name": name,
        "run_options.note": note,
        "run_options.threads": threads,
        "run_options.hedge": hedge,
    }
    for text in model_configs:
        given |= model_settings(text)
    return {path: value for path, value in given.items() if value is not None}


def _program_files(program: Path | None, files: tuple[Path, ...]) -> dict[str, str] | None:
    if files and not program:
        raise click.UsageError("--file is a file of the program: give --program too.")
    return program_files(program.parent, files) if program and files else None


def _environment(names: tuple[str, ...]) -> dict[str, str] | None:
    """Values are no options: everybody on this machine sees those of a running command."""
    if lacking := [name for name in names if not os.environ.get(name)]:
        raise click.UsageError(f"--secret {lacking[0]}: there is no such environment variable here.")
    return {name: os.environ[name] for name in names} or None
