"""A job in an image that a team made from ours (`examples/packages`, built by `make images`): its code has the packages
of that image, and none where it runs in our own."""

import pytest

from examples import applied_example
from installed_service import InstalledService
from kubectl import Kubectl
from under_test import Model
from unique import unique
from whole_jobs import ended

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNNER_IMAGE = "DSPY_SERVICE_RUNNER_IMAGE"
METRIC = """
from rapidfuzz import fuzz


def metric(gold, pred, trace=None):
    return fuzz.ratio(gold.team, pred.team) / 100
"""


@pytest.mark.parametrize("with_packages", [True, False])
def test_a_metric_imports_a_package_of_its_image(
    running: InstalledService, model: Model, kubectl: Kubectl, with_packages: bool
) -> None:
    job = applied_example(model, unique("packages"))
    name = job["metadata"]["name"]
    job["spec"]["metric"] = {"code": METRIC}
    if with_packages:
        job["spec"]["run"] = {"image": f"{running.setting('operator', RUNNER_IMAGE)}-packages"}
    kubectl.apply(job)

    answer = ended(running.http, name)

    if with_packages:
        assert answer["status"] == "success", answer["message"]
        assert 0 <= answer["result"]["optimized_test_metric"] <= 100
    else:
        assert answer["status"] == "failed"
        assert "rapidfuzz" in answer["message"]
