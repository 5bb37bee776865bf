"""The Python and the packages of the image that jobs run in, which the API itself does not have.

`packages.json` is of our own image and is written from its lock. Who runs jobs in another image writes one with
`dspy-service-runner-catalogue` there, and names it in the registry's file. On one machine (`dspy-service up`)
jobs run from the service's own environment, which is looked at instead.
"""

import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from importlib.resources import files

from pydantic import Field

from dspy_service_core.registry.catalogue import CatalogueEntry

_SEPARATORS = re.compile(r"[-_.]+")


class RunnerPackages(CatalogueEntry):
    python: str = Field(description="Version of Python that jobs run with, such as 3.12 or 3.12.4.")
    packages: Mapping[str, str] = Field(description="Version of each installed package, by its normalized name.")


@cache
def of_our_image() -> RunnerPackages:
    return RunnerPackages.model_validate_json(files(__package__).joinpath("packages.json").read_bytes())


@cache
def installed() -> RunnerPackages:
    """Python and packages of this process: on one machine, jobs run from the same environment."""
    found = {normalized(each.name): each.version for each in distributions() if each.name}
    return RunnerPackages(python=platform.python_version(), packages=dict(sorted(found.items())))


def normalized(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
