"""`dspy-service artifact ID -o DIR`."""

from pathlib import Path

import click

from dspy_service.cli.connection import connect
from dspy_service.cli.said import say
from dspy_service.files.artifact_files import MANIFEST, NAMES


@click.command("artifact", short_help="Download a job's optimized program.")
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="[default: ./program-ID]")
@click.pass_context
def command(ctx: click.Context, job_id: str, output: Path | None) -> None:
    """Write the files of job ID's optimized program into a directory and check that they arrived whole.

    program.pkl is the program, program.json its state, prompt.md its prompts for people, metadata.json how it came
    about, manifest.json the digests.
    """
    directory = connect(ctx).download(job_id, output or Path(f"program-{job_id}"))
    for file in (directory / name for name in sorted((*NAMES, MANIFEST))):
        if file.is_file():
            say(f"{file.stat().st_size:>10,}  {file}")
