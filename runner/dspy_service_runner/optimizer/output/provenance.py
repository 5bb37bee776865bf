"""What a program was made of and by: enough to run it again, and to see what differs where it comes out otherwise."""

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
"""What decides on prompts, on their answers and on searches."""
_WITHOUT_SAY = ("run", "suspend", "stop")
"""Parts of a spec that say how a job is run, and nothing about what comes out."""


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
    """Of everything that decides on the outcome: the spec with its code, and the rows."""
    spec = orjson.loads((inputs / pod_files.JOB).read_bytes())["spec"]
    said = {name: value for name, value in spec.items() if name not in _WITHOUT_SAY}
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS) + b"\n")
    with (inputs / pod_files.ROWS).open("rb") as rows:
        while piece := rows.read(1024 * 1024):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def image_digest(image: str) -> str | None:
    """None for an image that is named by a tag alone: what that stands for may change."""
    return image.rpartition("@")[2] if "@sha256:" in image else None


def seeds(split: int, optimizer: type, kwargs: Mapping[str, Any], compile_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Of the split, and of the optimizer where it takes one: given, or its default."""
    taken = {
        "optimizer": _seed(inspect.getattr_static(optimizer, "__init__"), kwargs),
        "compile": _seed(inspect.getattr_static(optimizer, "compile"), compile_kwargs),
    }
    return {"split": split} | {name: seed for name, seed in taken.items() if seed is not None}


def _seed(function: Any, given: Mapping[str, Any]) -> Any:
    parameter = inspect.signature(function).parameters.get("seed")
    return None if parameter is None else given.get("seed", parameter.default)
