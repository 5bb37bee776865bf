"""CEL rules of the CRD: `kubectl apply --dry-run=server` refuses what the API would refuse, as far as CEL can express
it.

Rules about optimizers are declared in their families (`optimizers/`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from dspy_service_core.optimizers import cel
from dspy_service_core.optimizers.family import Family
from dspy_service_core.optimizers.family_table import FAMILIES
from dspy_service_core.registry.catalogue import bundled, by_path
from dspy_service_core.registry.evaluate import EVALUATE
from dspy_service_core.registry.registry import DEFAULT_OPTIMIZERS
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.run_defaults import HIGHEST_THREADS

Json = dict[str, Any]

_CONTROL = frozenset({"suspend", "stop"})
_FIXED = {
    to_camel(name): field.is_required()
    for name, field in OptimizationJobSpec.model_fields.items()
    if name not in _CONTROL
}
"""The fields of the spec that cannot be changed, and whether each is required."""


_NOT_BY_SHARES = f"self.optimizer.name == '{EVALUATE}' || (has(self.split.column) && self.split.column != '')"
"""Whether the rows are split otherwise than by the three shares."""


def _one_of(*fields: str) -> Json:
    return {
        "rule": f"{cel.given('self', fields)} == 1",
        "message": f"exactly one of {', '.join(fields)} is needed",
    }


def _names_of(path: str) -> str:
    """Every name of an optimizer, as a CEL list."""
    aliases = (name for name, alias in DEFAULT_OPTIMIZERS.items() if alias.path == path)
    known = [*aliases, *(name for name, asset in by_path(bundled().optimizers).items() if asset.path == path)]
    return f"[{', '.join(repr(name) for name in known)}]"


def _of_families(rules: Callable[[Family, str], list[Json]]) -> list[Json]:
    return [rule for path, family in FAMILIES.items() for rule in rules(family, _names_of(path))]


def typed_kwargs() -> dict[str, Json]:
    """Schemas of those kwargs that rules speak of; all other kwargs are free-form."""
    typed: dict[str, Json] = {}
    for family in FAMILIES.values():
        for field, schemas in family.typed_kwargs().items():
            typed[field] = typed.get(field, {}) | schemas
    return typed


def _unchanged(required: Mapping[str, bool]) -> str:
    same = [f"self.{name} == oldSelf.{name}" for name, needed in required.items() if needed]
    same += [
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name, needed in required.items()
        if not needed
    ]
    return " && ".join(f"({part})" for part in same)


VALIDATIONS: Mapping[str, list[Json]] = {
    "OptimizationJobSpec": [
        {
            "rule": _unchanged(_FIXED),
            "message": "the spec cannot be changed, but for suspend and stop; create another job",
        },
        {
            "rule": "!has(oldSelf.stop) || oldSelf.stop != 'Cancel' || (has(self.stop) && self.stop == 'Cancel')",
            "message": "a cancelled job stays cancelled",
        },
        *_of_families(lambda family, called: family.cel_of_spec(called)),
        {
            "rule": f"!has(self.dataset.rows) || {_NOT_BY_SHARES}"
            " || int(double(self.dataset.rows.size()) * double(self.split.train)) >= 1",
            "message": "the train split is empty: give more rows, or raise split.train",
        },
        {
            "rule": f"!has(self.dataset.rows) || {_NOT_BY_SHARES} || self.dataset.rows.size()"
            " - int(double(self.dataset.rows.size()) * double(self.split.train))"
            " - int(double(self.dataset.rows.size()) * double(self.split.val)) >= 1",
            "message": "the test split is empty: give more rows, or raise split.test",
        },
        {
            "rule": f"!has(self.modelConfigs) || self.modelConfigs.all(name, name.matches('{names.MODEL_NAME_PATTERN}')"
            f" && !(name in {list(names.MODEL_ROLES)}))",
            "message": "names of modelConfigs are [a-z][a-z0-9_]{0,30}, and none is a role's",
        },
        _one_of("program", "module"),
        {
            "rule": "!has(self.module) || (has(self.signature) && has(self.columns))",
            "message": "signature and columns are needed with module",
        },
        {
            "rule": f"!has(self.secrets) || self.secrets.all(name, name.matches('{names.SECRET_NAME_PATTERN}')"
            f" && !name.matches('{names.SYSTEM_NAME_PATTERN}'))",
            "message": "names of secrets are [A-Z_][A-Z0-9_]{0,63}, and none is a variable of system or service",
        },
    ],
    "Optimizer": _of_families(lambda family, called: family.cel_of_optimizer(called)),
    "Columns": [
        {
            "rule": "!has(self.outputs) || self.outputs.all(name, !self.inputs.exists(other, "
            "self.inputs[other] == self.outputs[name]))",
            "message": "inputs and outputs share a column",
        }
    ],
    "CodeSource": [_one_of("code", "configMapKeyRef", "payload")],
    "Program": [
        _one_of("code", "configMapKeyRef", "payload"),
        {
            "rule": "!has(self.files) || self.files.all(file, self.files.exists_one(other, other.path == file.path))",
            "message": "two files have the same path",
        },
    ],
    "ProgramFile": [_one_of("code", "configMapKeyRef", "payload")],
    "StateSource": [_one_of("configMapKeyRef", "payload")],
    "JoinedSource": [_one_of("configMapKeyRef", "payload")],
    "Dataset": [
        _one_of("rows", "configMapKeyRef", "uri", "payload"),
        {"rule": "has(self.uri) == has(self.digest)", "message": "uri and digest belong together"},
    ],
    "Split": [
        {
            "rule": "[self.train, self.val, self.test].all(share, double(share) >= 0.0)"
            " && double(self.train) + double(self.val) + double(self.test) > 0.999999"
            " && double(self.train) + double(self.val) + double(self.test) < 1.000001",
            "message": "train, val and test must not be negative and must sum to 1",
        }
    ],
    "Run": [
        {
            "rule": "!has(self.maxFailedRows)"
            " || (double(self.maxFailedRows) >= 0.0 && double(self.maxFailedRows) <= 1.0)",
            "message": "maxFailedRows must be 0 to 1",
        },
        {
            "rule": f"!has(self.threads) || (self.threads >= 1 && self.threads <= {HIGHEST_THREADS})",
            "message": f"threads must be 1 to {HIGHEST_THREADS}",
        },
    ],
    "Budget": [
        {
            "rule": "!has(self.costUsd) || double(self.costUsd) > 0.0",
            "message": "costUsd must be more than 0",
        }
    ],
    "Models": [
        {
            "rule": " && ".join(
                f"(!has(self.{role}) || !has(self.{role}.modelType) || self.{role}.modelType != 'embedding')"
                for role in names.MODEL_ROLES
            ),
            "message": "modelType embedding is for modelConfigs alone",
        }
    ],
    "Model": [
        {
            "rule": "!has(self.baseUrl) || self.baseUrl == '' || self.baseUrl.matches('^https?://[^/@?#]+(/[^?#]*)?$')",
            "message": "baseUrl must be an http or https URL without user part and query; keys belong into keyFrom",
        },
        {
            "rule": "!has(self.temperature) || self.temperature == 'none'"
            " || (double(self.temperature) >= 0.0 && double(self.temperature) <= 2.0)",
            "message": "temperature must be 0 to 2, or none",
        },
        {
            "rule": "!has(self.topP) || (double(self.topP) >= 0.0 && double(self.topP) <= 1.0)",
            "message": "topP must be 0 to 1",
        },
    ],
}
"""The rules by the name of the model that they are about."""

ROOT_VALIDATIONS: list[Json] = [
    {
        "rule": f"self.metadata.name.size() != {names.UUID_LENGTH} || "
        f"!self.metadata.name.matches('^{names.UUID_PATTERN}$')",
        "message": "a bare UUID is no name for a job: it would be mistaken for one of the HTTP API's",
    },
    {
        "rule": "!has(self.spec.run) || !has(self.spec.run.name)"
        f" || (self.metadata.name.size() == {names.UUID_LENGTH + len('job-')}"
        f" && self.metadata.name.matches('^job-{names.UUID_PATTERN}$'))",
        "message": "spec.run.name is for jobs of the HTTP API: this one is called by its metadata.name",
    },
]
