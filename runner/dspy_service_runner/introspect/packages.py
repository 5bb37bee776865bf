"""`dspy-service-runner-catalogue`: writes down the Python and the packages of a runner's image, for `GET /catalogue`.

Run in the image, it prints what is installed there:

    docker run --rm registry.example.org/team/runner:1 dspy-service-runner-catalogue > packages.json

With `--lock` it describes our own image by its lock instead, for the file that core ships.
"""

import argparse
import sys
from pathlib import Path

from packaging.requirements import Requirement

from dspy_service_core.registry import packages
from dspy_service_core.registry.packages import RunnerPackages

BUNDLED = Path(packages.__file__).with_name("packages.json")
PYTHON = "3.12"
"""Of the Dockerfiles' PYTHON_IMAGE."""
_PLATFORM = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}


def of_lock(text: str, python: str = PYTHON) -> RunnerPackages:
    environment = _PLATFORM | {"python_version": python, "python_full_version": f"{python}.0"}
    lines = (line.rstrip("\\ ") for line in text.splitlines() if line and not line.startswith((" ", "#", "-")))
    wanted = (requirement for requirement in map(Requirement, lines) if _holds(requirement, environment))
    pinned = {packages.normalized(each.name): next(iter(each.specifier)).version for each in wanted}
    return RunnerPackages(python=python, packages=dict(sorted(pinned.items())))


def rendered(found: RunnerPackages) -> str:
    return found.model_dump_json(indent=1) + "\n"


def _holds(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="dspy-service-runner-catalogue", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--lock", type=Path, help="a lock to read instead of what is installed")
    parser.add_argument("--write", action="store_true", help="write the file that core ships; with --lock")
    parser.add_argument("--check", action="store_true", help="fail when that file is not what would be written")
    options = parser.parse_args(argv)
    if not options.lock:
        sys.stdout.write(rendered(packages.installed()))
        return
    text = rendered(of_lock(options.lock.read_text(encoding="utf-8")))
    if options.write:
        BUNDLED.write_text(text, encoding="utf-8")
    elif options.check and (not BUNDLED.is_file() or BUNDLED.read_text(encoding="utf-8") != text):
        raise SystemExit(f"{BUNDLED} is stale; run make generate.")


if __name__ == "__main__":
    main()
