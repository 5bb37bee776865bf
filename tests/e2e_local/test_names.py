"""Names that HTTP clients know the API's jobs by, as docs/resource.md says who refuses them where no policy does."""

from typing import Any

import pytest

from kube_http import KubeHttp, ok, refused
from operator_objects import make_raw
from waiting import wait_for
from whole_service import Service

pytestmark = pytest.mark.e2e

JOBS = "/apis/dspy-service.io/v1alpha1/namespaces/default/optimizationjobs"
UUID = "0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa"


def named(name: str) -> dict[str, Any]:
    made = make_raw(name)
    return {part: made[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}


@pytest.mark.parametrize(("name", "said"), [(UUID, "a bare UUID is no name for a job"), ("x" * 53, "52")])
def test_the_resource_s_own_rules_refuse_at_once(running: Service, name: str, said: str) -> None:
    with KubeHttp(running.kubeconfig) as kube:
        status = refused(kube.post(JOBS, named(name)), 422, "Invalid")
    assert said in status["message"]


def test_a_name_of_the_api_s_is_taken_and_ends_as_failed(running: Service) -> None:
    with KubeHttp(running.kubeconfig) as kube:
        ok(kube.post(JOBS, named(f"job-{UUID}")))

        def failed() -> Any:
            found = ok(kube.get(f"{JOBS}/job-{UUID}")).get("status") or {}
            return found if found.get("phase") == "Failed" else None

        status = wait_for(failed, what="the operator to refuse it")
    (valid,) = [condition for condition in status["conditions"] if condition["type"] == "Valid"]
    assert valid["status"] == "False"
    assert "is a name of the HTTP API's own jobs" in status["message"]
