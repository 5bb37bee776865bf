"""Which paths a program's files may have: plain ones below its folder, under which they hide nothing of Python's,
DSPy's or ours. Without pydantic, since the reporter imports it."""

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

MOST_PATH_LENGTH = 128
_PART = r"[^/\\.\x00-\x1f\x7f-\x9f\u2028\u2029][^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]*"
_PLAIN = re.compile(rf"{_PART}(/{_PART})*")
PATH_PATTERN = r"^[^/\\.\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*(/[^/\\.\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)*$"
"""The rule as far as a schema can say it in every dialect of patterns."""
_MOST_PART_BYTES = 255
"""What a file system takes as a name."""
_OURS = re.compile(r"dspy|dspy_service\w*|user_(signature|metric|program)")
_NEEDED = frozenset({"gepa", "litellm", "numpy", "optuna", "orjson", "pydantic", "pydantic_core"})
"""Packages that DSPy or its optimizers import in the job's process."""


def refused(path: str) -> str:
    """Why a file may not have this path; empty where it may."""
    if not path or len(path) > MOST_PATH_LENGTH:
        return f"paths have 1 to {MOST_PATH_LENGTH} characters"
    if not _PLAIN.fullmatch(path):
        return (
            "paths are plain and relative, such as helpers/text.py: no part is empty or begins with a dot, and none "
            "holds a backslash or a control character"
        )
    if any(len(part.encode("utf-8", "surrogatepass")) > _MOST_PART_BYTES for part in path.split("/")):
        return f"a part of it has more than {_MOST_PART_BYTES} bytes"
    if whose := _hidden(PurePosixPath(path)):
        return f"it would hide {whose}: choose another name"
    return ""


def in_the_way(paths: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each path that is a file, and the folder of another one."""
    files = set(paths)
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if str(folder) in files:
                yield str(folder), path


def _hidden(path: PurePosixPath) -> str:
    """Only what Python would import can hide a module."""
    if path.suffix != ".py":
        return ""
    module = path.parts[0].removesuffix(".py")
    if module in sys.stdlib_module_names or module == "__main__":
        return f"Python's own module '{module}'"
    if _OURS.fullmatch(module):
        return f"the module '{module}' of DSPy or of this service"
    return f"the package '{module}', which DSPy needs" if module in _NEEDED else ""
