"""Records what a program was made of and by: enough to repeat the run, and to see what differs if its result does."""

import hashlib
import inspect
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.storage import pod_files

_PACKAGES = (
    "dspy",
    "gepa",
    "litellm",
    "optuna",
    "numpy",
    "pydantic",
    "json-repair",
    "cloudpickle",
    "dspy-service",
)
"""Packages that influence prompts, their answers and searches."""
_WITHOUT_SAY = ("run", "suspend", "stop", "secrets")
"""Parts of a spec that say how a job is run, and do not influence its result; and references to secrets, which differ
between jobs that were sent the same."""


@cache
def packages() -> dict[str, str]:
    """Versions by name, Python's among them; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def payload_digest(inputs: Path) -> str:
    """A digest of everything that decides the result: the spec with its code, and the rows."""
    spec = orjson.loads((inputs / pod_files.JOB).read_bytes())["spec"]
    said = {name: value for name, value in spec.items() if name not in _WITHOUT_SAY}
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS) + b"\n")
    with (inputs / pod_files.ROWS).open("rb") as rows:
        while piece := rows.read(1024 * 1024):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def image_digest(image: str) -> str | None:
    """None for an image that is named only by a tag, because a tag may be moved to another image."""
    return image.rpartition("@")[2] if "@sha256:" in image else None


def seeds(split: int, optimizer: type, kwargs: Mapping[str, Any], compile_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The seed of the split, and the optimizer's if it takes one: the given one or its default."""
    taken = {
        "optimizer": _seed(inspect.getattr_static(optimizer, "__init__"), kwargs),
        "compile": _seed(inspect.getattr_static(optimizer, "compile"), compile_kwargs),
    }
    return {"split": split} | {name: seed for name, seed in taken.items() if seed is not None}


def _seed(function: Any, given: Mapping[str, Any]) -> Any:
    parameter = inspect.signature(function).parameters.get("seed")
    return None if parameter is None else given.get("seed", parameter.default)
