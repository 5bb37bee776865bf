"""`dspy-service artifact ID -o DIR`."""

from pathlib import Path

import click

from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say
from dspy_service.display.shown import shown
from dspy_service.files.artifact_files import LOAD, MANIFEST, read_manifest


@click.command("artifact", short_help="Download a job's optimized program.")
@click.argument("job_id", metavar="ID")
@click.option("-o", "--directory", type=click.Path(file_okay=False, path_type=Path), help="[default: ./program-ID]")
@click.option("--best", is_flag=True, help="While the job runs: the best program so far.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, directory: Path | None, best: bool, output: str) -> None:
    """Write the files of job ID's optimized program into a directory and check that they arrived whole.

    program.json is the state of the program, baseline.json that of the one that was given, prompt.md its prompts for
    people, messages.json for other programs, source/ and arguments.json what was submitted, load.py builds it anew
    where only dspy is installed, program.pkl is the program itself, metadata.json how it came about, manifest.json the
    digests. Of the best program so far there are its state, its prompts and, in metadata.json, its score.
    """
    directory = connect(ctx).download(job_id, directory or Path(f"program-{job_id}"), best=best)
    files = {name: (directory / name).stat().st_size for name in sorted({*read_manifest(directory)[1], MANIFEST, LOAD})}
    if output == "json":
        print_json({"directory": str(directory), "files": files})
        return
    for name, size in files.items():
        say(f"{size:>10,}  {shown(directory / name)}")
