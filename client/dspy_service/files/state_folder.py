"""The user's own folder for what the client remembers between two commands. Nobody else may read or write it."""

import os
import tempfile
from pathlib import Path

_PRIVATE = 0o700


def state_folder() -> Path:
    """Where the XDG base directories have it."""
    given = os.environ.get("XDG_STATE_HOME")
    home = Path(given) if given and os.path.isabs(given) else Path.home() / ".local" / "state"
    return home / "dspy-service"


def private_folder(name: str) -> Path:
    folder = state_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder.parent, folder):
        made.chmod(_PRIVATE)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Whole or not at all; temporary files are their owner's alone from the start."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as part:
        part.write(content)
    os.replace(part.name, path)
