"""What was downloaded where, remembered outside of the downloaded folder: its own files cannot vouch for themselves.

A record holds the digests of the files as the service answered them. It lies in the user's state folder; a folder that
was moved or came from somebody else has none, and then the service itself can be asked (`asked`).
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dspy_service.answers import Artifact
from dspy_service.files.artifact_files import Origin, artifact_files, digests_of, write_artifact
from dspy_service.files.plain_file import read_plain
from dspy_service.files.state_folder import private_folder, write_private

_FOLDER = "downloads"
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SavedProgram:
    service: str
    job_id: str
    digests: dict[str, str]


def save(artifact: Artifact, directory: Path, origin: Origin) -> Path:
    """Writes the files, and remembers them where there is a home to remember in."""
    record = SavedProgram(origin.service, origin.job_id, write_artifact(artifact, directory, origin))
    with suppress(OSError, RuntimeError):
        write_private(_place(directory), json.dumps(asdict(record)).encode())
    return directory


def recorded(directory: Path) -> SavedProgram | None:
    try:
        found = json.loads(read_plain(_place(directory), _MAX_BYTES))
        return SavedProgram(found["service"], found["job_id"], dict(found["digests"]))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def asked(fetch: Callable[[str], Artifact], job_id: str) -> dict[str, str]:
    """The digests of what the service answers today; raises what `fetch` raises."""
    return digests_of(artifact_files(fetch(job_id)))


def _place(directory: Path) -> Path:
    return private_folder(_FOLDER) / f"{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:40]}.json"
