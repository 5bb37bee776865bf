"""Makes of a job's spec what can be run, and checks all of it (code, fields, rows, models, optimizer) before money is
spent."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from dspy_service_core.checks import model_names
from dspy_service_core.resource.sources import METRIC, SIGNATURE
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.inputs import Job
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.program_state import begin_with
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.splits import Splits, need_training_rows, split_examples
from dspy_service_runner.optimizer.strategies.registry import strategy_for
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy
from dspy_service_runner.optimizer.user_code import source
from dspy_service_runner.optimizer.user_code.metric import Metric
from dspy_service_runner.optimizer.user_code.program import Program, signature_program
from dspy_service_runner.optimizer.user_code.resolve import find_class
from dspy_service_runner.optimizer.values.columns import check_columns
from dspy_service_runner.optimizer.values.keyed import allow_keys
from dspy_service_runner.optimizer.values.typed import text_or_none, typed_examples


@dataclass(frozen=True)
class Prepared:
    job: Job
    program: Program
    metric: Metric
    plan: Plan
    strategy: Strategy

    @property
    def splits(self) -> Splits:
        return self.plan.splits

    @property
    def unused_rows(self) -> int:
        """Rows that nothing trains on, and that no score is measured on."""
        counts = self.splits.counts
        if not self.strategy.optimizes:
            return counts.train + counts.val
        return 0 if self.plan.options.uses_validation_rows else counts.val


def prepare(
    job: Job,
    rows: list[dict[str, Any]],
    models: ModelSet,
    settings: Settings,
    checkpoint: Path,
) -> Prepared:
    spec, module, optimizer = job.spec, job.targets.module, job.targets.optimizer
    if module is None or spec.columns is None:
        raise JobFailed("InvalidProgram", "This version of the runner cannot run a program of the job's own yet.")
    module_class = find_class(module.path, f"module '{spec.module_name}'", "InvalidModule")
    optimizer_class = find_class(optimizer.path, f"optimizer '{spec.optimizer.name}'", "InvalidOptimizer")
    own_kwargs = module.kwargs | dict(spec.module_kwargs)
    program = signature_program(job.code[SIGNATURE], module_class, own_kwargs, models.for_code)
    if job.initial is not None:
        begin_with(program.module, job.initial)
    metric_code = source.run_source(METRIC, job.code[METRIC], "InvalidMetric", models.for_code)
    share = settings.max_failed_rows if spec.run.max_failed_rows is None else Decimal(spec.run.max_failed_rows)
    metric = Metric(source.pick_metric(metric_code), settings, share)
    check_columns(program.fields, spec.columns)
    allow_keys(program.outputs.values(), program.user_modules[0])
    metric.text_or_none = text_or_none(program.outputs)
    named = dict(models.by_role()), models.embedders
    kwargs = model_names.resolved(optimizer.kwargs | dict(spec.optimizer.kwargs), *named)
    strategy = strategy_for(optimizer_class)
    examples = typed_examples(rows, spec.columns, program.fields)
    plan = Plan(
        name=spec.optimizer.name,
        optimizer=optimizer_class,
        kwargs=kwargs,
        compile_kwargs=model_names.resolved(optimizer.compile_kwargs | dict(spec.optimizer.compile_kwargs), *named),
        program=program.module,
        splits=split_examples(examples, rows, spec.split, job.seed, optimizes=strategy.optimizes),
        fractions=spec.split.fractions,
        split_column=spec.split.column,
        models=models,
        threads=_threads(kwargs, settings),
        checkpoint=checkpoint,
    )
    if strategy.optimizes:
        need_training_rows(plan.splits, spec.split)
    strategy.check(plan)
    return Prepared(job, program, metric, plan, strategy)


def _threads(kwargs: Mapping[str, Any], settings: Settings) -> int:
    given = kwargs.get("num_threads")
    return given if isinstance(given, int) and given > 0 else settings.threads
