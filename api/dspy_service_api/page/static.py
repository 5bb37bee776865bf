"""Style and scripts: each under a path that names its digest, so that a browser keeps it for good and never keeps one
that has changed."""

import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

import dspy_service_api.page

_ROOT = files(dspy_service_api.page) / "static"
_SERVED = (".js", ".css", ".svg")
PATH = "/page/static"
_FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    digest: str
    kind: str
    content: bytes


@cache
def found() -> dict[str, StaticFile]:
    """All of them, by their names."""
    return {
        file.name: _read(file) for folder in (_ROOT, _ROOT / "vendor") for file in folder.iterdir() if _is_served(file)
    }


def address(name: str) -> str:
    return f"{PATH}/{found()[name].digest}/{name}"


def answer(digest: str, name: str) -> Response | None:
    """None for what is none of ours. A digest of another version gets the file that there is: the page that asked for
    it came from a replica that is newer or older."""
    file = found().get(name)
    if file is None:
        return None
    kept = _FOR_GOOD if digest == file.digest else {"Cache-Control": "no-cache"}
    return Response(file.content, media_type=file.kind, headers=kept)


def _is_served(file: Traversable) -> bool:
    return file.is_file() and file.name.endswith(_SERVED)


def _read(file: Traversable) -> StaticFile:
    content = file.read_bytes()
    kind, _ = mimetypes.guess_type(file.name)
    return StaticFile(sha256(content).hexdigest()[:16], kind or "application/octet-stream", content)
