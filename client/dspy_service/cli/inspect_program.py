"""`dspy-service inspect DIR`: what the service made: metadata, signatures, prompts, and a call of the program.

Loading a program runs code that came with it. dspy is imported here alone, by name: the client does without it, and
only this command, on a machine that has it, asks for it.
"""

import importlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import click

from dspy_service.artifact_files import METADATA, PICKLE, PROMPT
from dspy_service.cli.said import say, say_lines

MODEL_VARIABLE = "DSPY_SERVICE_INSPECT_MODEL"
BASE_URL_VARIABLE = "DSPY_SERVICE_INSPECT_BASE_URL"


@click.command("inspect", short_help="Look into a downloaded program, and call it.")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--input", "inputs", multiple=True, metavar="FIELD=VALUE", help="Call the program with these inputs.")
@click.option("--model", envvar=MODEL_VARIABLE, show_envvar=True, help="Model for the call: openai/gpt-4o-mini.")
@click.option("--base-url", envvar=BASE_URL_VARIABLE, show_envvar=True, help="The model's endpoint.")
def command(directory: Path, inputs: tuple[str, ...], model: str | None, base_url: str | None) -> None:
    """Print how the program in DIR came about, its signatures and prompts; with --input, call it.

    Loading a program runs code: inspect only what comes from a service that you trust.
    """
    _print_file("Metadata", directory / METADATA)
    _print_file("Prompts", directory / PROMPT)
    program = load_program(directory / PICKLE)
    _heading("Signatures")
    for name, predictor in program.named_predictors():
        say(f"{name}: {describe(predictor.signature)} ({len(predictor.demos)} demos)")
    if inputs:
        _heading("Call")
        say(str(_call(program, _fields(inputs), model, base_url)))


def describe(signature: Any) -> str:
    sides = (signature.input_fields, signature.output_fields)
    return " -> ".join(
        ", ".join(f"{name}: {_type(field.annotation)}" for name, field in side.items()) for side in sides
    )


def _type(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def load_program(path: Path) -> Any:
    _dspy()
    try:
        return pickle.loads(path.read_bytes())
    except OSError as error:
        raise click.UsageError(f"There is no program here: {error}") from error


def _dspy() -> Any:
    try:
        return importlib.import_module("dspy")
    except ModuleNotFoundError as error:
        raise click.UsageError("Loading a program needs dspy: pip install dspy") from error


def _call(program: Any, inputs: dict[str, str], model: str | None, base_url: str | None) -> Any:
    if not model:
        raise click.UsageError(f"A call needs a model: --model, or {MODEL_VARIABLE} in the environment.")
    dspy = _dspy()
    options = {"api_base": base_url, "api_key": os.environ.get("OPENAI_API_KEY", "none")} if base_url else {}
    with dspy.context(lm=dspy.LM(model, **options)):
        return program(**inputs)


def _fields(inputs: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in inputs]
    if wrong := [name for name, equals, _ in pairs if not name or not equals]:
        raise click.UsageError(f"--input takes FIELD=VALUE, not '{wrong[0]}'.")
    return {name: value for name, _, value in pairs}


def _print_file(title: str, path: Path) -> None:
    if path.is_file():
        _heading(title)
        text = path.read_text(encoding="utf-8")
        say_lines(json.dumps(json.loads(text), indent=2) if path.suffix == ".json" else text.rstrip())


def _heading(title: str) -> None:
    say("")
    say(title, bold=True)
