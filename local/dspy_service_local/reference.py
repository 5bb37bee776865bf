"""Writes the reference pages of `docs/` from the code: settings from their declarations, the
resource from its CRD, the API from its OpenAPI document, the chart's values from their comments.

`--check` fails when a page is stale, so a setting or a field cannot be added without its documentation.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from dspy_service_api import settings as api
from dspy_service_core.crd.generate import MAX_NAME_LENGTH
from dspy_service_core.resource import names
from dspy_service_local import reference_api, reference_chart, settings as local
from dspy_service_operator import settings as operator
from dspy_service_runner.optimizer import settings as optimizer

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / f"{names.PLURAL}.yaml"

PARTS: Mapping[str, tuple[str, type[BaseModel]]] = {
    "HTTP API": ("DSPY_SERVICE_", api.Settings),
    "Operator": ("DSPY_SERVICE_", operator.OperatorSettings),
    "Optimizer (inside a job's pod)": (optimizer.PREFIX, optimizer.Settings),
    "Embedded cluster (`dspy-service up`)": ("DSPY_SERVICE_", local.LocalSettings),
}

_CONFIGURATION = """# Configuration

Generated from the settings' declarations; `make generate` writes it anew. Every setting is an environment variable.
`dspy-service up` passes its own to the parts that it starts.
"""

_RESOURCE = f"""# The OptimizationJob resource

Generated from the CRD; `make generate` writes it anew. `kubectl explain optimizationjob.spec` says the
same.

## metadata.name

HTTP clients know a job of the API by a UUID, any other by its name. What people call a job of the API
(`run_options.name`, [command-line.md](command-line.md#what-to-type-for-a-job)) is its `spec.run.name` and its label
`dspy-service.io/name`: `kubectl get oj -l dspy-service.io/name=tickets`, and the column CALLED of `-o wide`. Three
kinds of names are therefore not to be had:

- a bare UUID: the resource's own rule refuses it in every cluster, and `kubectl apply` fails;
- `job-<UUID>` from anybody but the API: the chart's admission policy lets the API's ServiceAccount alone create one.
  Where that policy is not (`up`, or `admissionPolicies.enabled=false`) the job is taken, and the operator ends it as
  Failed with its condition `Valid` False, unless it carries the label that the API sets;
- more than {MAX_NAME_LENGTH} characters: the resource's schema refuses it, and `kubectl apply` fails.
"""


def configuration() -> str:
    return _CONFIGURATION + "".join(_part(title, *part) for title, part in PARTS.items())


def _part(title: str, prefix: str, model: type[BaseModel]) -> str:
    rows = "".join(
        f"| `{variable(prefix, name, field)}` | {_default(field)} | {_cell(field.description or '')} |\n"
        for name, field in model.model_fields.items()
    )
    return f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n{rows}"


def variable(prefix: str, name: str, field: FieldInfo) -> str:
    """An alias that is written in capitals is the variable itself (KUBECONFIG)."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((c for c in choices if isinstance(c, str) and c.isupper()), prefix + name.upper())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if value not in (None, "", [], (), {}, frozenset()) else ""


def resource() -> str:
    document = yaml.safe_load(CRD.read_text())
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = "".join(_fields_table(part, schema["properties"][part]) for part in ("spec", "status"))
    return _RESOURCE + parts


def _fields_table(part: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(f"| `{path}` | {kind} | {_cell(described)} |\n" for path, kind, described in _walk(part, schema))
    return f"\n## {part}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"


def _walk(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", _kind(inner), inner.get("description", "")
        yield from _walk(f"{path}.{name}", inner)
        if inner.get("type") == "array":
            yield from _walk(f"{path}.{name}[]", inner.get("items", {}))


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f'`"{choice}"`' for choice in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {schema.get('items', {}).get('type', 'any')}"
    if "additionalProperties" in schema:
        return "map"
    return str(schema.get("type", "any"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    texts = {
        "api.md": reference_api.page(),
        "chart.md": reference_chart.page(),
        "configuration.md": configuration(),
        "resource.md": resource(),
    }
    pages = {ROOT / "docs" / name: text for name, text in texts.items()}
    if "--write" in arguments:
        for path, text in pages.items():
            path.write_text(text)
        return 0
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for name in stale:
        print(f"docs/{name} is stale: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
