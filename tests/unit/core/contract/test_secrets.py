"""Which variables a job's code may get: names that change nothing but the code that reads them."""

from typing import Any

import cel
import orjson
import pytest

from checked_jobs import check_resource
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.crd import generate
from dspy_service_core.errors import InvalidRequest, UnusableRequest
from dspy_service_core.resource.job import MAX_SECRET_LENGTH, OptimizationJobSpec
from run_requests import METRIC, SIGNATURE, run_request, ticket_rows

TAKEN = [
    *("TOKEN", "SERPER_API_KEY", "_", "_PRIVATE", "A1", "X" * 64, "OPENAI_API_KEY", "PATHS", "MY_PATH", "HOMEPAGE"),
    *("TAVILY_BASE_URL", "GOOGLE_APPLICATION_CREDENTIALS", "LDAP_PASSWORD"),
]
NO_NAME = ["", "token", "1A", "A-B", "A B", "A.B", "\u00c4", "X" * 65, "A=B", "A\n", "Path"]
SYSTEMS = [
    *("PATH", "HOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHASHSEED", "LD_PRELOAD", "LD_LIBRARY_PATH", "TMPDIR"),
    *("DSPY_SERVICE_KEY_DEFAULT", "DSPY_SERVICE_SECRET_X", "DSPY_CACHEDIR", "LITELLM_LOCAL_MODEL_COST_MAP"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "KUBERNETES_SERVICE_HOST"),
    *("OPENAI_BASE_URL", "OPENAI_API_BASE", "POD_UID", "BASH_ENV", "LC_ALL", "MALLOC_ARENA_MAX"),
]


def parsed(secrets: Any) -> Any:
    return parse_run_request(orjson.dumps(run_request(secrets=secrets)))


def refused(secrets: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parsed(secrets)
    assert "c4n4ry" not in str(caught.value.problems)
    return [(problem.field, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("name", TAKEN)
def test_names_that_are_taken(name: str) -> None:
    assert parsed({name: "c4n4ry"}).secrets == {name: "c4n4ry"}


@pytest.mark.parametrize("name", NO_NAME)
def test_names_of_no_variable(name: str) -> None:
    ((_, message),) = refused({name: "c4n4ry"})
    assert message.startswith("Names of secrets are those of environment variables: A to Z, 0 to 9 and _")


@pytest.mark.parametrize("name", SYSTEMS)
def test_names_of_the_systems_or_the_service(name: str) -> None:
    assert refused({name: "c4n4ry"}) == [
        (f"secrets.{name}", f"'{name}' is a variable of the system's or the service's own: choose another name")
    ]


@pytest.mark.parametrize(
    ("secrets", "field"),
    [
        ({"A": ""}, "secrets.A"),
        ({"A": None}, "secrets.A"),
        ({"A": 7}, "secrets.A"),
        ({"A": {"b": "c4n4ry"}}, "secrets.A"),
        ({"A": "c4n4ry\0"}, "secrets.A"),
        ({"A": "c4n4ry" * MAX_SECRET_LENGTH}, "secrets.A"),
        ({f"A{n}": "c4n4ry" for n in range(33)}, "secrets"),
        (["c4n4ry"], "secrets"),
    ],
)
def test_values_that_are_no_secret(secrets: Any, field: str) -> None:
    assert [found for found, _ in refused(secrets)] == [field]


@pytest.mark.parametrize(
    "value", ["x", "a\nb\n", "\u00e9\u4e2d", "c" * MAX_SECRET_LENGTH, '{"type": "service_account"}']
)
def test_values_of_any_text(value: str) -> None:
    assert parsed({f"A{n}": value for n in range(32)}).secrets["A31"] == value


def spec(name: str) -> dict[str, Any]:
    return {
        "module": {"name": "cot"},
        "optimizer": {"name": "miprov2"},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "dataset": {"rows": ticket_rows(40)},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-4o-mini"}},
        "secrets": {name: {"name": "tools", "key": "token"}},
    }


(RULE,) = (
    rule["rule"]
    for rule in generate.schema()["properties"]["spec"]["x-kubernetes-validations"]
    if "secrets" in rule["message"]
)


@pytest.mark.parametrize("name", TAKEN)
def test_a_resource_takes_the_same_names(name: str) -> None:
    check_resource(OptimizationJobSpec.model_validate(spec(name)))
    assert cel.compile(RULE).execute({"self": spec(name)})


@pytest.mark.parametrize("name", NO_NAME + SYSTEMS)
def test_a_resource_is_refused_the_same_names(name: str) -> None:
    assert not cel.compile(RULE).execute({"self": spec(name)})
    if len(name) <= 64:
        with pytest.raises(UnusableRequest, match=r"^spec\.secrets\."):
            check_resource(OptimizationJobSpec.model_validate(spec(name)))
