import json

import yaml

import helm
from dspy_service_core.resource.spec import run_defaults


def test_the_chart_gives_a_job_the_same_defaults_and_limits() -> None:
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())["jobs"]
    limits = json.loads((helm.CHART / "values.schema.json").read_text())["properties"]["jobs"]["properties"]
    for name, default, most in (
        ("retries", run_defaults.RETRIES, run_defaults.MOST_RETRIES),
        ("deadlineSeconds", run_defaults.DEADLINE_SECONDS, run_defaults.LONGEST_DEADLINE_SECONDS),
        ("ttlSeconds", run_defaults.TTL_SECONDS, run_defaults.LONGEST_TTL_SECONDS),
    ):
        assert (values[name], limits[name]["maximum"]) == (default, most), name
