"""Checks the shape of a program's files: how many, how large, and under which paths they lie. The same rules hold for a
request and for a resource."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dspy_service_core.errors import FieldProblem
from dspy_service_core.resource.sources import MOST_FILE_BYTES, MOST_FILES
from dspy_service_core.resource.spec import program_paths

FIELD = "program_files"
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class PathProblem:
    place: int
    message: str


def path_problems(paths: Sequence[str]) -> Iterator[PathProblem]:
    known: set[str] = set()
    for place, path in enumerate(paths):
        if refused := program_paths.refused(path):
            yield PathProblem(place, refused)
        elif path in known:
            yield PathProblem(place, "another file has the same path")
        known.add(path)
    for folder, path in program_paths.in_the_way(paths):
        yield PathProblem(paths.index(folder), f"is a file, and the folder of '{path[:_SHOWN]}': rename one of them")


def too_large(files: int) -> str:
    """`files` is the bytes of all of them."""
    if files <= MOST_FILE_BYTES:
        return ""
    return (
        f"the program's files have {files} bytes together, and at most {MOST_FILE_BYTES} are allowed: leave out what "
        "the program does not read"
    )


def problems(given: object) -> list[FieldProblem]:
    """Of a request's `program_files`."""
    if not isinstance(given, dict):
        return [FieldProblem(FIELD, "Should be an object of paths and texts", "dict_type")]
    if len(given) > MOST_FILES:
        message = f"Holds {len(given)} files; at most {MOST_FILES} are allowed"
        return [FieldProblem(FIELD, message, "too_many_files")]
    paths = list(given)
    found = [FieldProblem(field(paths[it.place]), _sentence(it.message), "file_path") for it in path_problems(paths)]
    found += [
        FieldProblem(field(path), "Should be text", "string_type")
        for path, text in given.items()
        if not isinstance(text, str)
    ]
    if found:
        return found
    size = sum(len(text.encode()) for text in given.values())
    return [FieldProblem(FIELD, _sentence(why), "files_too_large")] if (why := too_large(size)) else []


def field(path: str) -> str:
    """The request's name for one file, with a path that can be any text."""
    return f"{FIELD}[{path[:_SHOWN]!r}]"


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]
