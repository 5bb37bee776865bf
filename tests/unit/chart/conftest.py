from functools import cache
from pathlib import Path

import pytest

import helm
from helm import Manifest

VALUES = Path(__file__).parent / "values"
CASES = ("default", "shared-claim", "object-store")


def pytest_collection_modifyitems(items):
    if helm.HELM is None:
        reason = "helm is not installed"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason))


@cache
def _rendered(case: str) -> str:
    return helm.template("--set", "crd.install=false", values=VALUES / f"{case}.yaml")


@pytest.fixture(params=CASES)
def case(request) -> str:
    return request.param


@pytest.fixture
def text(case) -> str:
    return _rendered(case)


@pytest.fixture
def documents(text) -> list[Manifest]:
    return helm.manifests(text)


@pytest.fixture
def rendered():
    """Of one case by its name."""
    return lambda case: helm.manifests(_rendered(case))
