"""Programs built anew from their artifacts in clean processes, which have dspy and nothing of ours.

`Rebuilder` keeps a process with dspy imported (`rebuilt_program.py`), which forks one for each program.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.submitted import read_submitted
from optimizer_job import Folders

REBUILD = Path(__file__).parents[2] / "client" / "dspy_service" / "files" / "rebuild.py"
CHILD = Path(__file__).with_name("rebuilt_program.py")


def downloaded(folders: Folders) -> Path:
    """The artifact's folder as the client writes it: what the optimizer wrote, and what the reporter adds."""
    folder = folders.out / "artifact"
    submitted = read_submitted(folders.inputs, {"dataset": {}}, Redactor([])).files
    others = json.loads(submitted.get("program_files.json", b"{}"))
    sources = {f"user_{name}": content for name, content in submitted.items() if name.endswith(".py")}
    for path, content in (sources | {path: text.encode() for path, text in others.items()}).items():
        (folder / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / path).write_bytes(content)
    (folder / "arguments.json").write_bytes(submitted["arguments.json"])
    (folder / "load.py").write_bytes(REBUILD.read_bytes())
    return folder


class Rebuilder:
    def __init__(self, cache: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | {"DSPY_CACHEDIR": str(cache)},
        )

    def run(self, folder: Path, url: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs the program of this artifact, with the model at this URL."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "url": url, "rows": list(rows)}) + "\n")
        self._process.stdin.flush()
        error = json.loads(self._process.stdout.readline())
        assert not error, error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
