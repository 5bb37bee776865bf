"""Requests and resources, checked as the API and the operator check them."""

from collections.abc import Mapping
from typing import Any

import orjson

from dspy_service_api.submit.request_spec import WORDS, translated
from dspy_service_core.checks import job_checks
from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_checks import Contents, Installation
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.registry import registry
from dspy_service_core.resource.job import OptimizationJobSpec

HERE = Installation(registry.default())


def check_request(body: Mapping[str, Any], installation: Installation = HERE) -> CheckedJob:
    """Raises `InvalidRequest` or `UnusableRequest`."""
    job = translated(parse_run_request(orjson.dumps(body)), {}, lambda: 0)
    return job_checks.check(job.spec, installation, job.contents, WORDS)


def check_resource(
    spec: OptimizationJobSpec, contents: Contents | None = None, installation: Installation = HERE
) -> CheckedJob:
    return job_checks.check_resource(spec, installation, contents)
