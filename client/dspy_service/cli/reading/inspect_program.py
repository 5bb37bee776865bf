"""`dspy-service inspect DIR`: what the service made: metadata, prompts, signatures, and a call of the program.

All but the call is read from JSON and text. To build a program from its source, or to unpickle it, is to run code of
whoever submitted its job: it takes `--run-code` or `--unpickle`. dspy is imported for that alone, by name: the client
does without it.
"""

import importlib
import json
import os
import pickle
import sys
from collections.abc import Iterable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from dspy_service.cli.connection import ONCE, connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say, say_json, say_lines
from dspy_service.display.changes import lines as changed_lines
from dspy_service.display.shown import shown
from dspy_service.errors import (
    DamagedArtifact,
    NoArtifact,
    NotFinished,
    RefusedRequest,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnknownJob,
)
from dspy_service.files import rebuild
from dspy_service.files.artifact_files import (
    BASELINE,
    FOLDERS,
    MAX_FILE_BYTES,
    METADATA,
    PICKLE,
    PROMPT,
    STATE,
    Origin,
    check_directory,
    read_manifest,
)
from dspy_service.files.downloads import asked, recorded
from dspy_service.files.plain_file import read_plain
from dspy_service.program_states import changes

MODEL_VARIABLE = "DSPY_SERVICE_INSPECT_MODEL"
BASE_URL_VARIABLE = "DSPY_SERVICE_INSPECT_BASE_URL"


@click.command("inspect", short_help="Look into a downloaded program, and call it.")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--run-code", is_flag=True, help="Build the program from its source: runs its submitter's code, as you.")
@click.option("--unpickle", is_flag=True, help="Load the program: runs code of whoever submitted its job, as you.")
@click.option("--input", "inputs", multiple=True, metavar="FIELD=VALUE", help="Call it with these; needs --run-code.")
@click.option("--model", envvar=MODEL_VARIABLE, show_envvar=True, help="Model for the call: openai/gpt-4o-mini.")
@click.option("--base-url", envvar=BASE_URL_VARIABLE, show_envvar=True, help="The model's endpoint.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    run_code: bool,
    unpickle: bool,
    inputs: tuple[str, ...],
    model: str | None,
    base_url: str | None,
    output: str,
) -> None:
    """Print how the program in DIR came about, its prompts and signatures; with --run-code and --input, call it.

    The files are checked first: against what was downloaded there, or else against what the service answers now.
    """
    given = _fields(inputs)
    owner = shown(f"whoever submitted job {_vouched(ctx, directory) or '(unknown)'}")
    if inputs and not (run_code or unpickle):
        raise click.UsageError(
            f"A call runs code of {owner}, as you, on this machine: add --run-code or --unpickle if you trust it."
        )
    as_json = output == "json"
    if not as_json:
        _print_files(directory)
    if not (run_code or unpickle):
        (_print_json if as_json else _print_state)(directory)
        return
    say(f"{_run(directory, unpickle)}: this runs code of {owner}, as you.", err=True)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # what that code prints is no JSON
        program = load_program(directory / PICKLE, allow_pickle=True) if unpickle else _rebuilt(directory)
        signatures = _signatures(program)
        called = _call(program, given, model, base_url) if inputs and as_json else None
    if as_json:
        _print_json(directory, signatures=dict(signatures), call=None if called is None else _fields_of(called))
        return
    _heading("Signatures")
    for name, described in signatures:
        say(f"{name}: {described}")
    if inputs:
        _heading("Call")
        say_lines(_call(program, given, model, base_url))


def _run(directory: Path, unpickle: bool) -> str:
    """What will be run, in words."""
    if unpickle:
        return f"Unpickling {PICKLE}"
    return f"Running {' and '.join(f'{name}/' for name in FOLDERS if (directory / name).is_dir())}"


def _vouched(ctx: click.Context, directory: Path) -> str:
    """Whose program it is. Raises `DamagedArtifact` where the files are not what the service made of that job."""
    if record := recorded(directory):
        check_directory(directory, record.digests)
        return record.job_id
    origin, own = _manifest(directory)
    try:
        check_directory(directory, _asked(ctx, origin))
    except (UnknownJob, NoArtifact, NotFinished, RefusedRequest, ServiceUnreachable, UnexpectedAnswer) as error:
        say(f"Unchecked: no download to here is known, and the service does not vouch for it: {error}", err=True)
        if own:
            check_directory(directory, own)
    return origin.job_id


def _asked(ctx: click.Context, origin: Origin) -> dict[str, str]:
    if not origin.job_id:
        raise UnknownJob("the files do not say which job they are of.")
    return asked(connect(ctx, ONCE).artifact, origin.job_id)


def _manifest(directory: Path) -> tuple[Origin, dict[str, str]]:
    """Empty where there is none: other clients write none."""
    try:
        return read_manifest(directory)
    except DamagedArtifact:
        return Origin(), {}


def load_program(path: Path, *, allow_pickle: bool) -> Any:
    """Runs code of whoever submitted the job that made the file."""
    if not allow_pickle:
        raise ValueError("loading a program unpickles it, which runs its submitter's code: allow_pickle=True")
    _dspy()
    try:
        return pickle.loads(read_plain(path, MAX_FILE_BYTES))
    except OSError as error:
        raise click.UsageError(f"There is no program here: {error}") from error


def _rebuilt(directory: Path) -> Any:
    _dspy()
    try:
        return rebuild.load_program(directory, run_code=True)
    except OSError as error:
        raise click.UsageError(f"There is no source here: {error}") from error


def describe(signature: Any) -> str:
    sides = (signature.input_fields, signature.output_fields)
    return " -> ".join(
        ", ".join(f"{name}: {_type(field.annotation)}" for name, field in side.items()) for side in sides
    )


def _type(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _signatures(program: Any) -> list[tuple[str, str]]:
    if not callable(getattr(program, "named_predictors", None)):
        raise DamagedArtifact(f"{PICKLE} holds no dspy program.")
    return [
        (name, f"{describe(predictor.signature)} ({len(predictor.demos)} demos)")
        for name, predictor in program.named_predictors()
    ]


def _print_json(directory: Path, **found: Any) -> None:
    state, prompt = _json_at(directory / STATE), _bytes_at(directory / PROMPT)
    print_json(
        {
            "metadata": _json_at(directory / METADATA),
            "prompt": None if prompt is None else prompt.decode(errors="replace"),
            "program_state": state,
            "changes": changes(_json_at(directory / BASELINE), state),
            **found,
        }
    )


def _fields_of(prediction: Any) -> Any:
    return prediction.toDict() if callable(getattr(prediction, "toDict", None)) else str(prediction)


def _print_state(directory: Path) -> None:
    """Types of fields are not in the state: the prompts tell them."""
    state = _json_at(directory / STATE)
    _heading("Predictors")
    for name, predictor in _predictors(state):
        if isinstance(predictor, dict) and isinstance(predictor.get("signature"), dict):
            say(f"{name}: {_labels(predictor['signature'])} ({_count(predictor.get('demos'))} demos)")
    if changed := changes(_json_at(directory / BASELINE), state):
        _heading("Changes")
        for line in changed_lines(changed):
            say(line)


def _predictors(state: Any) -> Iterable[tuple[str, Any]]:
    """By name; a program that is a predictor itself has its state at the top."""
    if not isinstance(state, dict):
        return ()
    return [("self", state)] if isinstance(state.get("signature"), dict) else state.items()


def _labels(signature: dict[str, Any]) -> str:
    fields = signature.get("fields")
    found = [field.get("prefix") for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []
    return ", ".join(str(prefix).removesuffix(":") for prefix in found)


def _count(demos: Any) -> int:
    return len(demos) if isinstance(demos, list) else 0


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


def _print_files(directory: Path) -> None:
    metadata = _json_at(directory / METADATA)
    if metadata is not None:
        _heading("Metadata")
        say_json(json.dumps(metadata, indent=2, ensure_ascii=False))
    prompt = _bytes_at(directory / PROMPT)
    if prompt is not None:
        _heading("Prompts")
        say_lines(prompt.decode(errors="replace").rstrip())


def _json_at(path: Path) -> Any:
    content = _bytes_at(path)
    try:
        return None if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedArtifact(f"{path.name} is no JSON that can be read: {error}") from error


def _bytes_at(path: Path) -> bytes | None:
    try:
        return read_plain(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedArtifact(f"{path.name} cannot be read: {error}") from error


def _heading(title: str) -> None:
    say("")
    say(title, bold=True)
