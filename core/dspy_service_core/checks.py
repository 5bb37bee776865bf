"""All that can be known of a job before it runs: core of a submit's 400s and of a resource's condition `Valid`.

    request_input / spec_input -> check -> CheckedJob, or UnusableRequest naming the thing and what is allowed

Pure. What only running the code would tell (see `signature_source`) is the pod's to find out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from dspy_service_core import kwargs_rules, model_rules
from dspy_service_core.catalogue import ModuleAsset, OptimizerAsset
from dspy_service_core.check_input import CheckInput, request_input, spec_input
from dspy_service_core.endpoints import Hosts, is_this_machine, named_endpoints, refused_urls
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.metric_source import MetricSource, read_metric
from dspy_service_core.optimizer_rules import Plan, objections
from dspy_service_core.registry import Registry, Resolved
from dspy_service_core.signature_source import SignatureSource, read_signature
from dspy_service_core.splits import Counts, counts, fewest_rows

__all__ = ["CheckInput", "CheckedJob", "check", "request_input", "spec_input"]


@dataclass(frozen=True, slots=True)
class CheckedJob:
    """The kwargs have the registry's defaults in them. What was not at hand is None."""

    module: Resolved[ModuleAsset]
    module_kwargs: Mapping[str, JsonValue]
    optimizer: Resolved[OptimizerAsset]
    optimizer_kwargs: Mapping[str, JsonValue]
    compile_kwargs: Mapping[str, JsonValue]
    signature: SignatureSource | None
    metric: MetricSource | None
    split_counts: Counts | None

    @property
    def uses_validation_rows(self) -> bool:
        return self.optimizer.asset is None or self.optimizer.asset.compiles_with("valset")


def check(
    job: CheckInput, registry: Registry, base_url_hosts: Hosts = (), own_ports: frozenset[int] = frozenset()
) -> CheckedJob:
    """`base_url_hosts`: those that a model may be reached at; empty: any. `own_ports`: those of this machine that the
    service itself listens on, where jobs run on the same one.
    """
    module = registry.resolve_module(job.module_name)
    optimizer = registry.resolve_optimizer(job.optimizer_name)
    checked = CheckedJob(
        module=module,
        module_kwargs=module.with_defaults(job.module_kwargs),
        optimizer=optimizer,
        optimizer_kwargs=optimizer.with_defaults(job.optimizer_kwargs),
        compile_kwargs=optimizer.with_compile_defaults(job.compile_kwargs),
        signature=None if job.signature_code is None else read_signature(job.signature_code, job.fields.signature),
        metric=None if job.metric_code is None else read_metric(job.metric_code, job.fields.metric),
        split_counts=None if job.row_count is None else counts(job.row_count, job.fractions),
    )
    for problem in _problems(job, checked, base_url_hosts, own_ports):
        raise UnusableRequest(problem)
    return checked


def _problems(job: CheckInput, checked: CheckedJob, base_url_hosts: Hosts, own_ports: frozenset[int]) -> Iterator[str]:
    yield from _roles(checked)
    yield from _kwargs(job, checked)
    yield from _mapping(job, checked.signature)
    yield from _rows(job)
    yield from _models(job)
    yield from _endpoints(job, base_url_hosts)
    yield from _own_ports(job, own_ports)
    yield from _splits(job, checked)
    yield from _optimizer(job, checked)


def _kwargs(job: CheckInput, checked: CheckedJob) -> Iterator[str]:
    fields, module, optimizer = job.fields, checked.module.asset, checked.optimizer.asset
    named = f"optimizer '{job.optimizer_name}'"
    yield from kwargs_rules.problems(
        module.init if module else None,
        f"Module '{job.module_name}'",
        fields.module_kwargs,
        checked.module_kwargs,
        fields,
    )
    init, compile_ = (optimizer.init, optimizer.compile) if optimizer else (None, None)
    yield from kwargs_rules.problems(init, f"O{named[1:]}", fields.optimizer_kwargs, checked.optimizer_kwargs, fields)
    yield from kwargs_rules.problems(
        compile_, f"The compile of {named}", fields.compile_kwargs, checked.compile_kwargs, fields
    )


def _roles(checked: CheckedJob) -> Iterator[str]:
    """Some of DSPy's modules take other modules, some optimizers no training rows: there is no job for those."""
    module, optimizer = checked.module.asset, checked.optimizer.asset
    if module and module.init.find("signature") is None:
        yield f"Module '{checked.module.name}' cannot be used here: it takes no signature."
    for needed in ("student", "trainset"):
        if optimizer and not optimizer.compiles_with(needed):
            yield f"Optimizer '{checked.optimizer.name}' cannot be used here: its compile takes no {needed}."


def _mapping(job: CheckInput, signature: SignatureSource | None) -> Iterator[str]:
    if signature is None or signature.name is None:
        return
    sides = (
        ("input", job.fields.inputs, job.inputs, signature.inputs, signature.outputs),
        ("output", job.fields.outputs, job.outputs, signature.outputs, signature.inputs),
    )
    for word, path, mapped, own, others in sides:
        for name in mapped:
            if name in others:
                yield f"{path} maps '{name}', which is no {word} of signature '{signature.name}': move it."
            elif name not in own:
                known = ", ".join(own) or "none"
                yield f"{path} maps '{name}', which signature '{signature.name}' does not have. Its {word}s: {known}."
        for name in own:
            if name not in mapped:
                yield f"{path} lacks the {word} field '{name}' of signature '{signature.name}'."


def _rows(job: CheckInput) -> Iterator[str]:
    mapped = {column: f"{job.fields.inputs}.{name}" for name, column in job.inputs.items()}
    mapped |= {column: f"{job.fields.outputs}.{name}" for name, column in job.outputs.items()}
    wanted = mapped.keys()
    for index, row in enumerate(job.rows or ()):
        if not isinstance(row, Mapping):
            yield f"{job.fields.dataset}[{index}] is no object."
        elif not row.keys() >= wanted:
            column = next(column for column in mapped if column not in row)
            yield f"{job.fields.dataset}[{index}] lacks column '{column}', to which {mapped[column]} maps."


def _models(job: CheckInput) -> Iterator[str]:
    for role, model in job.models.items():
        if problem := model_rules.objection(model.name, model.temperature, model.max_tokens):
            yield f"{job.fields.models[role]}: {problem}."


def _endpoints(job: CheckInput, hosts: Hosts) -> Iterator[str]:
    """A model without a base_url is asked at its provider's own endpoint, which needs no listing."""
    if not hosts:
        return
    for role, model in job.models.items():
        for path, url in refused_urls(model.base_url, model.extra, hosts):
            field = f"{job.fields.models[role]}.{path.replace('base_url', job.fields.base_url, 1)}"
            yield f"{field}: this service asks no models at '{url}'. Allowed hosts: {', '.join(hosts)}."


def _own_ports(job: CheckInput, ports: frozenset[int]) -> Iterator[str]:
    """No job may have the service itself for its model: what answers there obeys whoever reaches it."""
    if not ports:
        return
    for role, model in job.models.items():
        for path, host, port in named_endpoints(model.base_url, model.extra):
            if port in ports and is_this_machine(host):
                field = f"{job.fields.models[role]}.{path.replace('base_url', job.fields.base_url, 1)}"
                yield f"{field}: {host}:{port} is this service itself, which no job may reach."


def _splits(job: CheckInput, checked: CheckedJob) -> Iterator[str]:
    """A share of 0 for validation means none, which DSPy's optimizers know how to do without."""
    if checked.split_counts is None:
        return
    needed = {"train": f"optimizer '{job.optimizer_name}' trains on", "test": "the scores are measured on"}
    if checked.uses_validation_rows and job.fractions.val > 0:
        needed["val"] = f"optimizer '{job.optimizer_name}' validates on"
    for split, use in needed.items():
        if getattr(checked.split_counts, split) == 0:
            yield _empty_split(job, checked.split_counts.total, split, use)


def _empty_split(job: CheckInput, rows: int, split: str, use: str) -> str:
    fraction = getattr(job.fractions, split)
    path = f"{job.fields.split}.{split}"
    enough = fewest_rows(split, 1, job.fractions)
    cure = f"send at least {enough} rows, or raise {path}" if enough else f"raise {path}"
    return f"The {split} split, which {use}, is empty: {path} is {fraction:g} of {rows} rows; {cure}."


def _optimizer(job: CheckInput, checked: CheckedJob) -> Iterator[str]:
    if checked.optimizer.asset is None:
        return
    yield from objections(
        Plan(
            name=f"Optimizer '{job.optimizer_name}'",
            asset=checked.optimizer.asset,
            kwargs=checked.optimizer_kwargs,
            compile_kwargs=checked.compile_kwargs,
            counts=checked.split_counts,
            fractions=job.fractions,
            roles=frozenset(job.models),
            fields=job.fields,
        )
    )
