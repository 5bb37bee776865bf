"""Makes of a job's spec what can be run, and checks all of it (code, fields, rows, models, optimizer) before money is
spent."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.checks import joined_checks
from dspy_service_core.checks.models import model_names
from dspy_service_core.programs.joined import read_joined
from dspy_service_core.resource.sources import METRIC, PROGRAM, SIGNATURE
from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_core.resource.words import resource_words
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.inputs import Job
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.program_state import begin_with
from dspy_service_runner.optimizer.run.time_limit import at_most
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.splits import Splits, need_training_rows, split_examples
from dspy_service_runner.optimizer.strategies.registry import strategy_for
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy
from dspy_service_runner.optimizer.user_code import source
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.user_code.programs.joined import Joined, Place, join
from dspy_service_runner.optimizer.user_code.programs.program import (
    Program,
    ProgramSource,
    own_program,
    signature_program,
)
from dspy_service_runner.optimizer.user_code.programs.program_class import REASON, check_copies, check_predictors
from dspy_service_runner.optimizer.user_code.resolve import find_class
from dspy_service_runner.optimizer.values.columns import Rows, check_columns, check_split_column, columns_of_program
from dspy_service_runner.optimizer.values.keyed import allow_keys
from dspy_service_runner.optimizer.values.typed import text_or_none, typed_examples

logger = logging.getLogger("dspy_service.program")


@dataclass(frozen=True)
class Prepared:
    job: Job
    program: Program
    columns: Columns
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
    scratch: Path,
) -> Prepared:
    spec, optimizer = job.spec, job.targets.optimizer
    optimizer_class = find_class(optimizer.path, f"optimizer '{spec.optimizer.name}'", "InvalidOptimizer")
    strategy = strategy_for(optimizer_class)
    program = _program(job, models, settings, scratch)
    if job.initial is not None:
        begin_with(program.module, job.initial)
    metric = _metric(job, program, models, settings)
    columns = _columns(job, program, rows)
    check_split_column(columns, spec.split.column)
    examples = typed_examples(rows, columns, program.fields)
    named = dict(models.by_role()), models.embedders
    kwargs = model_names.resolved(optimizer.kwargs | dict(spec.optimizer.kwargs), *named)
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
        threads=_threads(kwargs, spec.run.threads or settings.most_threads, settings),
        checkpoint=checkpoint,
        joined=_joined(job, program, columns, models, settings, scratch) if strategy.joins else None,
        may_run_out=spec.budget is not None,
    )
    if strategy.optimizes:
        need_training_rows(plan.splits, spec.split)
        if spec.program is not None:
            _check_optimizable(program.module)
    strategy.check(plan)
    return Prepared(job, program, columns, metric, plan, strategy)


def _program(job: Job, models: ModelSet, settings: Settings, scratch: Path) -> Program:
    spec, module = job.spec, job.targets.module
    if spec.program is not None:
        given = ProgramSource(
            job.code[PROGRAM], spec.program.name, spec.program.kwargs, job.files, job.code.get(SIGNATURE)
        )
        with _in_time(settings, "program", REASON):
            return own_program(given, models.for_code, scratch)
    if module is None:
        raise JobFailed("InvalidModule", "The job names no module and brings no program.")
    module_class = find_class(module.path, f"module '{spec.module_name}'", "InvalidModule")
    kwargs = module.kwargs | dict(spec.module_kwargs)
    with _in_time(settings, "signature", "InvalidSignature"):
        return signature_program(job.code[SIGNATURE], module_class, kwargs, models.for_code)


def _joined(
    job: Job, program: Program, columns: Columns, models: ModelSet, settings: Settings, scratch: Path
) -> Joined:
    """Checked once more as at the submit, for programs that came from a ConfigMap."""
    try:
        given = read_joined(job.joined)
    except ValueError as error:
        raise JobFailed(REASON, f"spec.joined{error}.") from None
    known = joined_checks.Given(job.spec, None, None, job.spec.secrets, resource_words)
    for number, each in enumerate(given):
        for problem in joined_checks.problems(each, known):
            raise JobFailed(REASON, f"programs[{number}]: {problem}")
    place = Place(scratch, models.for_code, program, list(columns.inputs))
    with _in_time(settings, "ensemble", REASON):
        return join(given, place)


def _metric(job: Job, program: Program, models: ModelSet, settings: Settings) -> Metric:
    given = job.spec.run.max_failed_rows
    with _in_time(settings, "metric", "InvalidMetric"):
        code = source.run_source(METRIC, job.code[METRIC], "InvalidMetric", models.for_code)
    metric = Metric(source.pick_metric(code), settings, settings.max_failed_rows if given is None else Decimal(given))
    allow_keys(program.outputs.values(), program.user_modules[0])
    metric.text_or_none = text_or_none(program.outputs)
    return metric


@contextmanager
def _in_time(settings: Settings, what: str, reason: str) -> Iterator[None]:
    """Runs code of the job that only defines things. A process that it forks ends here."""
    limit, process = settings.loading_seconds, os.getpid()
    try:
        with at_most(limit, JobFailed(reason, f"The {what}'s code was not loaded after {limit:g} seconds: it hangs.")):
            yield
    finally:
        if os.getpid() != process:
            os._exit(0)


def _columns(job: Job, program: Program, rows: Rows) -> Columns:
    given = job.spec.columns
    if job.spec.program is not None:
        return columns_of_program(program.fields, given, rows)
    if given is None:
        raise JobFailed("InvalidMapping", "column_mapping is missing.")
    check_columns(program.fields, given)
    return given


def _check_optimizable(module: dspy.Module) -> None:
    for path in check_predictors(module):
        logger.warning("No optimizer sees the predictor '%s': it lies too deep in lists or dicts, or is frozen.", path)
    check_copies(module)


def _threads(kwargs: Mapping[str, Any], most: int, settings: Settings) -> int:
    """Of DSPy: as many as may ever be needed, because an optimizer keeps the number that it begins with. How many calls
    are under way, the gate decides."""
    most, given = min(most, settings.most_threads), kwargs.get("num_threads")
    return min(given, most) if isinstance(given, int) and given > 0 else most
