"""Checks all that can be known of a job before it runs, for a submit's 400 answers and a resource's condition `Valid`.

    spec, what it refers to -> check -> CheckedJob, or UnusableRequest that names the problem and what is allowed

A request has been made a spec before it comes here. The checks are pure. What only running the code would tell (see
`signature_source`) is left to the pod.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import JsonValue

from dspy_service_core.checks import (
    budget_checks,
    initial_checks,
    joined_checks,
    kwargs_rules,
    program_checks,
    row_checks,
    spec_shape,
    usable,
)
from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.models import model_checks, model_names
from dspy_service_core.checks.models.endpoints import Hosts
from dspy_service_core.code.metric_source import MetricSource, read_metric
from dspy_service_core.code.signature_source import SignatureSource, read_signature
from dspy_service_core.code.source_text import quick
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.optimizers.families.together import COMPILE_ARGUMENTS
from dspy_service_core.optimizers.family import Family, Setup
from dspy_service_core.optimizers.family_table import family_of
from dspy_service_core.programs.joined import JoinedProgram
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import Callee
from dspy_service_core.registry.registry import Registry
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import INITIAL, METRIC, SIGNATURE
from dspy_service_core.resource.spec.run_defaults import MOST_THREADS
from dspy_service_core.resource.splits import ALL_TEST, Fractions, counts, counts_by_column
from dspy_service_core.resource.words import Words, resource_words

_REMEMBERED = 32
"""Small sources of each kind that stay read. Reading one is a third of what a submit costs, and whoever tries several
optimizers on one task sends the same sources each time."""
_signature_read_before = lru_cache(_REMEMBERED)(read_signature)
_metric_read_before = lru_cache(_REMEMBERED)(read_metric)


@dataclass(frozen=True, slots=True)
class Installation:
    """What this installation of the service offers to jobs."""

    registry: Registry
    base_url_hosts: Hosts = ()
    """The hosts at which models may be called; empty means any."""
    own_ports: frozenset[int] = frozenset()
    """The ports on which the service itself listens; only given where jobs run on the same machine."""
    most_threads: int = MOST_THREADS


@dataclass(frozen=True, slots=True)
class Contents:
    """What a spec refers to, as far as the caller has it. The rest is checked in the pod."""

    rows: Sequence[Mapping[str, Any]] | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    """Source texts by the source's name. Those that are inline in the spec need not be given."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The texts of the program's files, by their paths."""
    initial: Mapping[str, Any] | None = None
    """The program state to begin with; if it comes from a ConfigMap, its text is among `code`."""
    joined: Sequence[JoinedProgram] | None = None
    """The programs of earlier jobs; None too where they come from a ConfigMap."""
    secrets: Collection[str] = ()
    """Names of secrets that a request brings; a spec has them by reference."""
    withheld: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Credentials by the model's role or name; a spec never holds them."""


def check(
    spec: OptimizationJobSpec,
    installation: Installation,
    contents: Contents | None = None,
    words: Words = resource_words,
) -> CheckedJob:
    """Checks a spec whose shape is right. `words` gives the sender's name for a field of the spec, for messages."""
    at_hand = contents or Contents()
    checked = _read(spec, installation.registry, at_hand, words)
    for problem in _problems(spec, checked, installation, at_hand, words):
        raise UnusableRequest(problem)
    return checked


def check_resource(
    spec: OptimizationJobSpec, installation: Installation, contents: Contents | None = None
) -> CheckedJob:
    """Checks the shape too. For a request that has been done before, with 422 as the answer."""
    for problem in spec_shape.problems(spec):
        raise UnusableRequest(problem)
    return check(spec, installation, contents)


def _read(spec: OptimizationJobSpec, registry: Registry, contents: Contents, words: Words) -> CheckedJob:
    module = registry.modules.resolve(spec.module.name) if spec.module else None
    optimizer = registry.optimizers.resolve(spec.optimizer.name)
    signature = contents.code.get(SIGNATURE, spec.signature.code if spec.signature else None)
    metric = contents.code.get(METRIC, spec.metric.code)
    return CheckedJob(
        module=module,
        module_kwargs=module.with_defaults(spec.module_kwargs) if module else spec.module_kwargs,
        optimizer=optimizer,
        optimizer_kwargs=optimizer.with_defaults(spec.optimizer.kwargs),
        compile_kwargs=optimizer.with_compile_defaults(spec.optimizer.compile_kwargs),
        signature=None if signature is None or not module else _signature(signature, words("spec.signature")),
        metric=None if metric is None else _metric(metric, words("spec.metric")),
        split_counts=_split_counts(spec, contents, family_of(optimizer.path)),
        program=program_checks.read(spec, contents.code, contents.files, words),
    )


def _signature(code: str, field: str) -> SignatureSource:
    return _signature_read_before(code, field) if quick(code) else read_signature(code, field)


def _metric(code: str, field: str) -> MetricSource:
    return _metric_read_before(code, field) if quick(code) else read_metric(code, field)


def _fractions(spec: OptimizationJobSpec, family: Family) -> Fractions:
    return spec.split.fractions if family.optimizes else ALL_TEST


def _split_counts(spec: OptimizationJobSpec, contents: Contents, family: Family) -> SplitCounts | None:
    rows = _rows(spec, contents)
    if spec.split.column:
        return None if rows is None else counts_by_column(rows, spec.split.column)
    payload = spec.dataset.payload
    number = payload.rows if rows is None and payload else None if rows is None else len(rows)
    return None if number is None else counts(number, _fractions(spec, family))


def _rows(spec: OptimizationJobSpec, contents: Contents) -> Sequence[Mapping[str, Any]] | None:
    return contents.rows if contents.rows is not None else spec.dataset.rows


def _problems(
    spec: OptimizationJobSpec, checked: CheckedJob, installation: Installation, contents: Contents, words: Words
) -> Iterator[str]:
    yield from _roles(checked)
    yield from _kwargs(checked, spec, words)
    module = checked.module.asset if checked.module else None
    yield from row_checks.names(checked.signature, module.path if module else "", words)
    yield from _columns(spec, checked, _rows(spec, contents), words)
    models = model_checks.settings(spec, contents.withheld)
    yield from model_checks.refused_settings(models, words)
    yield from model_checks.refused_module_temperature(spec.models, checked.module_kwargs, words)
    yield from model_checks.refused_endpoints(models, installation.base_url_hosts, words)
    yield from model_checks.own_ports(models, installation.own_ports, words)
    if column := spec.split.column:
        yield from row_checks.split_column(_rows(spec, contents) or (), spec.columns, column, words)
    fractions = _fractions(spec, checked.family)
    yield from row_checks.splits(checked.split_counts, fractions, column, _needed_splits(spec, checked), words)
    yield from _initial(checked, contents, words)
    yield from _joined(spec, checked, contents, words)
    yield from _optimizer(spec, checked, contents, words)
    yield from _requirement(spec, checked, words)
    yield from _threads(spec, installation, words)
    metric = contents.code.get(METRIC, spec.metric.code)
    yield from budget_checks.problems(spec, checked, metric, words)


def _columns(
    spec: OptimizationJobSpec, checked: CheckedJob, rows: Sequence[Mapping[str, Any]] | None, words: Words
) -> Iterator[str]:
    if spec.program is not None:
        yield from program_checks.problems(checked.program, checked.module_kwargs, spec.columns, rows, words)
    elif spec.columns is not None:
        types = checked.signature.types if checked.signature else {}
        yield from row_checks.mapping(spec.columns, checked.signature, words)
        yield from row_checks.rows(rows or (), row_checks.mapped(spec.columns, words), words)
        yield from row_checks.types(rows or (), spec.columns.inputs, types, words)


def _roles(checked: CheckedJob) -> Iterator[str]:
    module, optimizer = checked.module, checked.optimizer.asset
    if module and module.asset and (why := usable.module_refused(module.asset)):
        yield f"Module '{module.name}' cannot be used here: {why}."
    if why := checked.family.unusable:
        yield f"Optimizer '{checked.optimizer.name}' cannot be used: {why}."
    if optimizer and (why := usable.unfit(optimizer)):
        yield f"Optimizer '{checked.optimizer.name}' cannot be used here: {why}."


def _kwargs(checked: CheckedJob, spec: OptimizationJobSpec, words: Words) -> Iterator[str]:
    module, optimizer, kept = checked.module, checked.optimizer, kwargs_rules.reserved(words)
    embedders = [name for _, name, model in spec.all_models() if model.model_type == "embedding"]
    models = [name for _, name, _ in spec.all_models() if name not in embedders]

    def problems(callee: Callee | None, what: str, path: str, given: Mapping[str, JsonValue]) -> Iterator[str]:
        yield from kwargs_rules.problems(callee, what, words(path), given, kept)
        # A module would be pickled with its model's key.
        nameable = ((), ()) if path == "spec.module.kwargs" else (models, embedders)
        yield from model_names.problems(given, words(path), *nameable)

    if module:
        init = module.asset.init if module.asset else None
        yield from problems(init, f"Module '{module.name}'", "spec.module.kwargs", checked.module_kwargs)
    else:
        path = words("spec.program.kwargs")
        if checked.program is None or checked.program.constructor is None:
            yield from kwargs_rules.problems(None, "The program", path, checked.module_kwargs, {})
        yield from model_names.problems(checked.module_kwargs, path, ())
    asset = checked.optimizer_asset
    init, compile_ = (asset.init, asset.compile) if asset else (None, None)
    yield from problems(init, f"Optimizer '{optimizer.name}'", "spec.optimizer.kwargs", checked.optimizer_kwargs)
    what = f"The compile of optimizer '{optimizer.name}'"
    yield from problems(compile_, what, "spec.optimizer.compileKwargs", checked.compile_kwargs)
    path, compile_path = words("spec.optimizer.kwargs"), f"{words('spec.optimizer.compileKwargs')}.{COMPILE_ARGUMENTS}"
    for key, part in checked.parts.items():
        named = f"Optimizer '{part.name}'"
        yield from kwargs_rules.problems(part.asset.init, named, f"{path}.{key}.kwargs", part.kwargs, kept)
        yield from model_names.problems(part.kwargs, f"{path}.{key}.kwargs", models, embedders)
        given, what = part.compile_kwargs, f"The compile of optimizer '{part.name}'"
        yield from kwargs_rules.problems(part.asset.compile, what, f"{compile_path}.{key}", given, kept)


def _initial(checked: CheckedJob, contents: Contents, words: Words) -> Iterator[str]:
    given = contents.code.get(INITIAL) if contents.initial is None else contents.initial
    if given is not None:
        for problem in initial_checks.problems(given, checked.predictors, checked.signature):
            yield f"{words('spec.initial')}: {problem}"


def _joined(spec: OptimizationJobSpec, checked: CheckedJob, contents: Contents, words: Words) -> Iterator[str]:
    given = joined_checks.Given(spec, checked.program, checked.signature, {*spec.secrets, *contents.secrets}, words)
    yield from joined_checks.presence(given, checked.optimizer.name, checked.family.joins, contents.joined)
    for number, program in enumerate(contents.joined or ()):
        for problem in joined_checks.problems(program, given):
            yield f"{words('spec.joined')}[{number}]: {problem}"


def _needed_splits(spec: OptimizationJobSpec, checked: CheckedJob) -> Mapping[str, str]:
    """A share of 0 for validation is allowed, and no row that says val: DSPy's optimizers can do without validation
    rows."""
    named = f"optimizer '{checked.optimizer.name}'"
    needed = {"train": f"{named} trains on"} if checked.family.optimizes else {}
    needed["test"] = "the scores are measured on"
    if checked.uses_validation_rows and not spec.split.column and spec.split.fractions.val > 0:
        needed["val"] = f"{named} validates on"
    return needed


def _optimizer(spec: OptimizationJobSpec, checked: CheckedJob, contents: Contents, words: Words) -> Iterator[str]:
    options = checked.options
    if options is None:
        return
    yield from checked.family.objections(
        Setup(
            name=f"Optimizer '{checked.optimizer.name}'",
            options=options,
            counts=checked.split_counts,
            fractions=spec.split.fractions,
            models={name: model.name for _, name, model in spec.all_models()},
            words=words,
            split_column=spec.split.column,
            programs=None if contents.joined is None else len(contents.joined),
        )
    )


def _requirement(spec: OptimizationJobSpec, checked: CheckedJob, words: Words) -> Iterator[str]:
    if spec.run.require is not None and not checked.family.optimizes:
        yield (
            f"{words('spec.run.require')} asks for the verdict '{spec.run.require}', and optimizer "
            f"'{checked.optimizer.name}' optimizes nothing: leave it out."
        )


def _threads(spec: OptimizationJobSpec, installation: Installation, words: Words) -> Iterator[str]:
    asked, most = spec.run.threads, installation.most_threads
    if asked is not None and not 1 <= asked <= most:
        field = words("spec.run.threads")
        yield f"{field}: {asked} model calls at once cannot be: give 1 to {most}, or leave it out to have it found."
