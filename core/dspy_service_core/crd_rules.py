"""CEL rules of the CRD: what `kubectl apply --dry-run=server` refuses, as far as CEL can say what the API refuses.

Rules speak only of what is certain for every installation. A registry may give an alias other defaults, so what an
alias leaves out is left to the operator's condition `Valid`. Of kwargs, which are DSPy's and free-form, CEL sees only
fields that the schema types (`TYPED_KWARGS`); one that is null counts as not given, in Kubernetes as in DSPy.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dspy_service_core import names
from dspy_service_core.catalogue import bundled, by_path

Json = dict[str, Any]

_FIXED = ["module", "optimizer", "signature", "metric", "dataset", "columns", "models"]
_FIXED_OPTIONAL = ["split", "run"]


def _one_of(*fields: str) -> Json:
    return {
        "rule": f"[{', '.join(f'has(self.{name})' for name in fields)}].filter(given, given).size() == 1",
        "message": f"exactly one of {', '.join(fields)} is needed",
    }


def _given(path: str, fields: Iterable[str]) -> str:
    return f"[{', '.join(f'has({path}.{name})' for name in fields)}].filter(given, given).size()"


def _names_of(path: str, alias: str) -> str:
    """Every name of an optimizer, as a CEL list."""
    known = [alias, *(name for name, asset in by_path(bundled().optimizers).items() if asset.path == path)]
    return f"[{', '.join(repr(name) for name in known)}]"


_GEPA = _names_of("dspy.GEPA", "gepa")
_MIPRO = _names_of("dspy.MIPROv2", "miprov2")
_GEPA_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")


def _number(description: str) -> Json:
    return {"type": "integer", "format": "int64", "nullable": True, "description": description}


TYPED_KWARGS: Mapping[str, Mapping[str, Json]] = {
    "kwargs": {
        "auto": {
            "type": "string",
            "maxLength": 64,
            "nullable": True,
            "description": "Budget in a word (light, medium, heavy), or null.",
        },
        "max_full_evals": _number("Budget in full evaluations (GEPA)."),
        "max_metric_calls": _number("Budget in metric calls (GEPA)."),
        "num_candidates": _number("How many candidates (MIPROv2)."),
    },
    "compileKwargs": {"num_trials": _number("How many trials (MIPROv2).")},
}
"""What rules must see of an optimizer's kwargs; all others stay as they come."""


def _unchanged(required: list[str], optional: list[str]) -> str:
    same = [f"self.{name} == oldSelf.{name}" for name in required]
    same += [
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name in optional
    ]
    return " && ".join(f"({part})" for part in same)


VALIDATIONS: Mapping[str, list[Json]] = {
    "OptimizationJobSpec": [
        {
            "rule": _unchanged(_FIXED, _FIXED_OPTIONAL),
            "message": "the spec cannot be changed, but for suspend and stop; create another job",
        },
        {
            "rule": "!has(oldSelf.stop) || oldSelf.stop != 'Cancel' || (has(self.stop) && self.stop == 'Cancel')",
            "message": "a cancelled job stays cancelled",
        },
        {
            "rule": f"!(self.optimizer.name in {_GEPA}) || has(self.models.reflection)",
            "message": "GEPA needs a reflection model: give models.reflection",
        },
        {
            "rule": "!has(self.dataset.rows) || int(double(self.dataset.rows.size()) * double(self.split.train)) >= 1",
            "message": "the train split is empty: give more rows, or raise split.train",
        },
        {
            "rule": "!has(self.dataset.rows) || self.dataset.rows.size()"
            " - int(double(self.dataset.rows.size()) * double(self.split.train))"
            " - int(double(self.dataset.rows.size()) * double(self.split.val)) >= 1",
            "message": "the test split is empty: give more rows, or raise split.test",
        },
    ],
    "Optimizer": [
        {
            "rule": f"!(self.name in {_GEPA}) || !has(self.kwargs) || {_given('self.kwargs', _GEPA_BUDGETS)} <= 1",
            "message": f"GEPA takes one of {', '.join(_GEPA_BUDGETS)} in kwargs, not several",
        },
        {
            "rule": f"!(self.name in {_MIPRO}) || !has(self.kwargs) || !has(self.kwargs.auto)"
            " || !(has(self.kwargs.num_candidates) || (has(self.compileKwargs) && has(self.compileKwargs.num_trials)))",
            "message": "MIPROv2 with kwargs.auto takes neither kwargs.num_candidates nor compileKwargs.num_trials: "
            "give them, or auto",
        },
    ],
    "Columns": [
        {
            "rule": "!has(self.outputs) || self.outputs.all(name, !self.inputs.exists(other, "
            "self.inputs[other] == self.outputs[name]))",
            "message": "inputs and outputs share a column",
        }
    ],
    "CodeSource": [_one_of("code", "configMapKeyRef", "payload")],
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
    "Model": [
        {
            "rule": "!has(self.baseUrl) || self.baseUrl == '' || self.baseUrl.matches('^https?://[^/@?#]+(/[^?#]*)?$')",
            "message": "baseUrl must be an http or https URL without user part and query; keys belong into keyFrom",
        },
        {
            "rule": "!has(self.temperature) || (double(self.temperature) >= 0.0 && double(self.temperature) <= 2.0)",
            "message": "temperature must be 0 to 2",
        },
        {
            "rule": "!has(self.topP) || (double(self.topP) >= 0.0 && double(self.topP) <= 1.0)",
            "message": "topP must be 0 to 1",
        },
    ],
}
"""By the name of the model."""

ROOT_VALIDATIONS: list[Json] = [
    {
        "rule": f"!self.metadata.name.matches('^{names.UUID_PATTERN}$')",
        "message": "a bare UUID is no name for a job: it would be mistaken for one of the HTTP API's",
    }
]
