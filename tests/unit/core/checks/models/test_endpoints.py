"""Which endpoints a list of hosts covers, and where a model's settings may hide one."""

from typing import Any

import pytest

from checked_jobs import check_request, check_resource
from dspy_service_core.checks.job_checks import Installation
from dspy_service_core.checks.models.endpoints import is_listed, is_this_machine, refused_urls
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry import registry
from dspy_service_core.resource.job import OptimizationJobSpec
from run_requests import METRIC, SIGNATURE, run_request, ticket_rows

HOSTS = ("localhost", "*.Models.example.org", "::1")
LISTED = Installation(registry.default(), HOSTS)


def listening_on(port: int) -> Installation:
    return Installation(registry.default(), own_ports=frozenset({port}))


@pytest.mark.parametrize(
    "url", ["http://localhost/v1", "https://LOCALHOST:1/", "http://a.b.models.example.org/v1", "http://[::1]:80/v1"]
)
def test_listed(url: str) -> None:
    assert is_listed(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        *("http://models.example.org", "http://localhost.evil.org", "http://evil.org/localhost", "ftp://localhost"),
        *("http://localhost\\@evil.org", "http://evil.org#localhost", "localhost", "", "http://[::2]/v1"),
    ],
)
def test_not_listed(url: str) -> None:
    assert not is_listed(url, HOSTS)


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"fallbacks": [{"model": "b", "api_base": "https://u:p@evil.org/v1?k=s"}]}, "extra.fallbacks[0].api_base"),
        ({"azure_endpoint": " HTTPS://evil.org"}, "extra.azure_endpoint"),
        ({"any": {"deep": ["http://["]}}, "extra.any.deep[0]"),
        ({"fallbacks": [{"api_base": "http://localhost/v1"}]}, None),
        ({"extra_headers": {"HTTP-Referer": "https://our.site"}, "stop": "https", "seed": 3}, None),
    ],
)
def test_settings_further_down_are_looked_at_too(extra: dict[str, Any], found: str | None) -> None:
    refused = list(refused_urls(None, extra, HOSTS))
    assert [path for path, _ in refused] == ([found] if found else [])
    assert "u:p" not in str(refused)


def test_a_request_is_refused_by_its_field_and_what_is_allowed() -> None:
    elsewhere = {"name": "openai/x", "base_url": "http://user:secret@evil.org:80/v1?key=secret"}
    with pytest.raises(UnusableRequest) as refused:
        check_request(run_request(prompt_model_config=elsewhere), LISTED)
    assert str(refused.value) == (
        "prompt_model_config.base_url: this service asks no models at 'http://evil.org:80/v1'. "
        "Allowed hosts: localhost, *.Models.example.org, ::1."
    )


def test_a_resource_is_refused_alike() -> None:
    spec = {
        "module": {"name": "cot"},
        "optimizer": {"name": "dspy.LabeledFewShot"},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "dataset": {"rows": ticket_rows(40)},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/x", "baseUrl": "http://evil.org/v1"}},
    }
    with pytest.raises(UnusableRequest, match=r"^spec\.models\.default\.baseUrl: this service asks no models at"):
        check_resource(OptimizationJobSpec.model_validate(spec), installation=LISTED)


@pytest.mark.parametrize("base_url", [None, "http://localhost:11434/v1"])
def test_providers_and_listed_hosts_are_accepted(base_url: str | None) -> None:
    check_request(run_request(model_config={"name": "openai/x", "base_url": base_url}), LISTED)


def test_without_a_list_any_host_is_accepted() -> None:
    check_request(run_request(model_config={"name": "x", "base_url": "http://evil.org"}))


THIS_MACHINE = (
    *("127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST.", "api.localhost", "0.0.0.0", "[::1]", "[::]"),
    *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]"),
)


@pytest.mark.parametrize("host", THIS_MACHINE)
@pytest.mark.parametrize("where", ["base_url", "extra"])
def test_the_service_itself_is_nobodys_model(host: str, where: str) -> None:
    url = f"http://{host}:8000/v1"
    model = {"name": "openai/x"} | ({"base_url": url} if where == "base_url" else {"extra": {"fallbacks": [url]}})
    request = run_request(model_config=model)
    with pytest.raises(
        UnusableRequest, match=r"model_config\.(base_url|extra\.fallbacks\[0\]): .*:8000 is this service"
    ):
        check_request(request, listening_on(8000))
    check_request(request, listening_on(8001))
    check_request(request)


@pytest.mark.parametrize("host", ["192.0.2.77", "example.org", "localhost.example.org", "10.99.98.97", "[2001:db8::7]"])
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not is_this_machine(host.strip("[]"))


def test_a_port_that_is_not_said_is_the_schemes() -> None:
    with pytest.raises(UnusableRequest, match="localhost:80 is this service"):
        check_request(
            run_request(model_config={"name": "openai/x", "base_url": "http://localhost/v1"}), listening_on(80)
        )
