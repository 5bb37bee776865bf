"""What the container images weigh over their base, and how soon dspy is there in one. After `make images`.

Each image names its base in the OCI label for it, so that whatever Python they were built on, the difference is ours.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from measuring.figures import Figure

MEGABYTE = 1e6
VERSION = re.search(r'^version = "(.+)"', (Path(__file__).parents[2] / "pyproject.toml").read_text(), re.M)[1]  # type: ignore[index]  # it is there
API = f"dspy-service-api:{VERSION}"
RUNNER = f"dspy-service-runner:{VERSION}"
SLIM = f"{RUNNER}-slim"
LIMITS = {API: 150, RUNNER: 400, SLIM: 200}
IMPORT_LIMIT = 1.0
STARTS = 5
_IMPORT = "import time; began = time.perf_counter(); import dspy; print(time.perf_counter() - began)"


def measure() -> list[Figure]:
    sizes = [Figure(f"{image} over its base", _over_base(image), "MB", most=most) for image, most in LIMITS.items()]
    imports = [Figure(f"import dspy in {image}", _import(image), "s", most=IMPORT_LIMIT) for image in (RUNNER, SLIM)]
    return sizes + imports


def _over_base(image: str) -> float:
    found = _inspect(image)
    base = found["Config"]["Labels"]["org.opencontainers.image.base.name"]
    return float(found["Size"] - _inspect(base)["Size"]) / MEGABYTE


def _inspect(image: str) -> dict[str, Any]:
    inspected: list[dict[str, Any]] = json.loads(_docker("image", "inspect", image))
    return inspected[0]


def _import(image: str) -> float:
    """The least disturbed of a few starts, each as a pod has it: a read-only root, nobody's user, no network."""
    run = ["run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", image, "python", "-c", _IMPORT]
    return min(float(_docker(*run)) for _ in range(STARTS))


def _docker(*arguments: str) -> str:
    command = [os.environ.get("DOCKER", "docker"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
