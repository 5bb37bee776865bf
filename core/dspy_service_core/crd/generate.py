"""`python -m dspy_service_core.crd.generate --write`: the CRD and the chart's copy of it, from the models in `job`.

What a CustomResourceDefinition has beyond the models' schema is here (printer columns, list types) and in `rules`
(CEL)."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from dspy_service_core.crd.rules import ROOT_VALIDATIONS, VALIDATIONS, typed_kwargs
from dspy_service_core.crd.schema import structural
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.status import OptimizationJobStatus

Json = dict[str, Any]

_ROOT = Path(__file__).parents[3]
FILE = _ROOT / "crds" / "optimizationjobs.yaml"
CHART_FILE = _ROOT / "charts" / "dspy-service" / "templates" / "crd.yaml"
"""A template, because Helm never upgrades definitions in a chart's `crds/` folder."""
MAX_NAME_LENGTH = 52
"""So that the names of an attempt's Job and pod, which are longer, stay within 63 characters."""


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, description: str = "") -> Json:
    column: Json = {"name": name, "type": kind, "jsonPath": path}
    if description:
        column["description"] = description
    return column | ({"priority": 1} if wide else {})


COLUMNS = [
    _column("PHASE", ".status.phase"),
    _column("OPTIMIZER", ".spec.optimizer.name"),
    _column("MODULE", ".spec.module.name"),
    _column("PROGRESS", ".status.run.progress.percent", description="Share of the metric calls made, 0 to 100."),
    _column(
        "BEST",
        ".status.run.progress.bestScore",
        description="Best score of a full evaluation so far, 0 to 100; not on the test rows: see BEST-ON.",
    ),
    _column("VERDICT", ".status.run.result.verdict", description="Whether the optimized program is the better one."),
    _column(
        "DIFFERENCE",
        ".status.run.result.evidence",
        description="Optimized minus baseline score, and its interval; the score where nothing was optimized.",
    ),
    _column("SCORE", ".status.run.result.optimizedScore", description="Score of the optimized program, 0 to 100."),
    _column("ETA", ".status.run.progress.etaSeconds", description="Estimated seconds until the end."),
    _column("AGE", ".metadata.creationTimestamp", "date"),
    _column(
        "BASELINE", ".status.run.result.baselineScore", wide=True, description="Score of the program as it was given."
    ),
    _column("BEST-ON", ".status.run.progress.bestScoreOn", wide=True, description="Rows of the best score so far."),
    _column("PROGRAM", ".spec.program.name", wide=True, description="Class of the job's own program."),
    _column("CALLED", ".spec.run.name", wide=True, description="Name that the HTTP API was given for the job."),
    _column("ATTEMPT", ".status.attempt.number", "integer", wide=True),
    _column("QUEUE", ".status.queue.position", "integer", wide=True, description="Place in the queue: 1 starts next."),
    _column("CANDIDATES", ".status.run.candidates", "integer", wide=True, description="Programs tried."),
    _column("CALLS", ".status.run.usage.calls", "integer", wide=True, description="Model calls answered."),
    _column("TOKENS-IN", ".status.run.usage.promptTokens", "integer", wide=True, description="Tokens sent."),
    _column("TOKENS-OUT", ".status.run.usage.completionTokens", "integer", wide=True, description="Tokens received."),
    _column("COST-USD", ".status.run.usage.costUsd", wide=True, description="Empty where a price is not known."),
    _column("BUDGET-HIT", ".status.run.result.budgetHit", wide=True, description="Cap that ended the run."),
    _column("MESSAGE", ".status.message", wide=True),
]


def definition() -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{names.PLURAL}.{names.GROUP}",
            "labels": {"app.kubernetes.io/part-of": names.MANAGED_BY},
        },
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Json:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.optimizer.name"}],
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": schema()},
    }


def schema() -> Json:
    spec = structural(OptimizationJobSpec, VALIDATIONS, defaults=True)
    for kwargs, fields in typed_kwargs().items():
        spec["properties"]["optimizer"]["properties"][kwargs]["properties"] = dict(fields)
    status = structural(OptimizationJobStatus, {}, defaults=False)
    spec["description"] = "What is optimized, how, and with which models and rows. Only suspend and stop can change."
    status["description"] = "How far the job has come. The runner writes run, the operator everything else."
    status["properties"]["conditions"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {
        "type": "object",
        "description": "The optimization of a DSPy program.",
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of the resource."},
            "kind": {"type": "string", "description": "Kind of the resource."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": MAX_NAME_LENGTH}}},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": ROOT_VALIDATIONS,
    }


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: an object that is used twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Go's YAML reads a bare `n`, which is a field's name here, as false; PyYAML would not quote it."""
    style = "'" if value in ("y", "n", "Y", "N") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


_HEAD = "Generated by `python -m dspy_service_core.crd.generate --write` from resource/ and crd/."


def rendered() -> str:
    return f"# {_HEAD}\n{_yaml(definition())}"


def chart_template() -> str:
    """The CRD as a template, so that Helm upgrades it. It is kept at uninstall, because deleting a definition deletes
    all its resources."""
    document = definition()
    document["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    text = _yaml(document)
    if "{{" in text:
        raise ValueError("a template would take the {{ of a description or rule for its own")
    return f"# {_HEAD}\n{{{{- if .Values.crd.install }}}}\n{text}{{{{- end }}}}\n"


def _yaml(document: Json) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dspy_service_core.crd.generate")
    parser.add_argument("--write", action="store_true", help="write the files")
    parser.add_argument("--check", action="store_true", help="fail when a file is not what would be written")
    options = parser.parse_args(argv)
    files = {FILE: rendered(), CHART_FILE: chart_template()}
    for file, text in files.items():
        if options.check and not (file.is_file() and file.read_text(encoding="utf-8") == text):
            raise SystemExit(f"{file} is stale; run python -m dspy_service_core.crd.generate --write.")
        if options.write:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if not (options.write or options.check):
        sys.stdout.write(rendered())


if __name__ == "__main__":
    main()
