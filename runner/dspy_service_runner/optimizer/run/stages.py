"""The run itself: preflight, baseline, optimizer, final score, artifact; and how each of them may end."""

import contextlib
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.records import events, verdicts
from dspy_service_core.records.comparison import compare
from dspy_service_core.records.usage import CallStage
from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken, first_line
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.model_errors import OF_ONE_REQUEST, refusal_behind
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.models.pace.patience import Patience
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.output.artifact import trim, write_artifact
from dspy_service_runner.optimizer.output.provenance import image_digest, payload_digest, seeds
from dspy_service_runner.optimizer.output.result import RunRecord
from dspy_service_runner.optimizer.program_state import State, load, mend, state_of
from dspy_service_runner.optimizer.progress.candidates import Candidate, Candidates
from dspy_service_runner.optimizer.progress.checkpoint import restore
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.run import failed_rows, row_results
from dspy_service_runner.optimizer.run.evaluation import Evaluation, RowOutcome, evaluate, watched
from dspy_service_runner.optimizer.run.final_reserve import FinalReserve
from dspy_service_runner.optimizer.run.gold_check import choose_gold
from dspy_service_runner.optimizer.run.nothing_tried import why_nothing_was_tried
from dspy_service_runner.optimizer.run.preflight import (
    check_budget,
    check_joined,
    check_metric,
    check_models,
    check_program,
    spread,
)
from dspy_service_runner.optimizer.run.stop_signal import StopSignal
from dspy_service_runner.optimizer.run.validation import Prepared
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.strategies.ensemble import counted_field
from dspy_service_runner.optimizer.user_code.source import user_line
from dspy_service_runner.redaction import Redactor

logger = logging.getLogger("dspy_service")

NO_IMPROVEMENT = "NoImprovement"
_LONGEST_DRAIN = 120.0
"""Seconds for which calls under way are awaited when a budget is spent."""


@dataclass(frozen=True)
class RunContext:
    """What a run works with that does not depend on the job."""

    inputs: Path
    scratch: Path
    outbox: Outbox
    settings: Settings
    control: StopSignal
    journal: JournalCache
    ledger: Ledger
    progress: Progress
    patience: Patience
    candidates: Candidates
    redactor: Redactor


class Run:
    """One job's stages, in order. Everything until the optimizer's end can be stopped; the final score cannot."""

    def __init__(self, prepared: Prepared, context: RunContext, record: RunRecord) -> None:
        self._prepared, self._context, self._record = prepared, context, record
        self._plan, self._strategy, self._metric = prepared.plan, prepared.strategy, prepared.metric
        self._stop_token = StopToken()
        self._watches: list[ModelWatch] = []
        self._baseline_rows: tuple[RowOutcome, ...] = ()
        self._caps, self._reserve = context.ledger.caps, FinalReserve(prepared, context.ledger)
        self._measured = [context.ledger.costs] if self._caps.limits else []
        context.candidates.on_better = self._better
        context.ledger.predictors = {its.stage: name for name, its in self._plan.program.named_predictors()}

    def execute(self) -> None:
        """Raises `JobFailed`, or `Interrupt` when it was stopped with nothing to keep."""
        try:
            if self._strategy.optimizes:
                self._optimize_and_compare()
            else:
                self._score_only()
            self._context.progress.write()
            self._require()
        finally:
            self._note()

    def _optimize_and_compare(self) -> None:
        program = self._mended(self._optimized_program())
        self._context.progress.stage("Finishing")
        optimized = self._final_score(program)
        if optimized is None:
            return
        self._record.optimized = optimized.score
        self._context.outbox.event(events.OPTIMIZED, {"optimized_test_metric": optimized.score})
        self._compare(optimized)
        self._keep(trim(program), lambda: row_results.lines(self._baseline_rows, optimized.rows))

    def _score_only(self) -> None:
        """The rows of the one score are the whole run, so they are its progress too."""
        program, progress = self._mended(self._plan.program), self._context.progress
        with self._context.control.armed(self._stop_token):
            self._preflight()
            progress.begin_optimizer(self._plan.optimizer.__name__, self._prepared.splits.counts.test, False)
            self._baseline(self._stop_token, progress.called)
        progress.end_optimizer()
        progress.stage("Finishing")
        self._record.verdict = "unknown"
        self._keep(trim(program), lambda: row_results.lines(self._baseline_rows, None))

    def _final_score(self, program: dspy.Module) -> Evaluation | None:
        """If it cannot be told, the job fails, but the program is finished and paid for: it is kept first. None where
        the budget did not reach for it: what is left of the rows is no score."""
        try:
            return self._evaluate("optimized", program, StopToken(), self._context.progress.called_around)
        except (JobFailed, Interrupt) as error:
            if isinstance(error, Interrupt) and self._caps.short:
                self._record.verdict, self._record.stopped_early, self._record.unscored = "unknown", True, True
                self._caps.drain(_LONGEST_DRAIN)
                self._keep(trim(program), lambda: row_results.lines(self._baseline_rows, None))
                return None
            with contextlib.suppress(JobFailed):  # the score's failure came first, and is the one to be told
                self._keep(trim(program), None)
            raise

    def _optimized_program(self) -> dspy.Module:
        optimizer = self._construct()
        try:
            with self._context.control.armed(self._stop_token):
                self._preflight()
                self._context.progress.expect_around(2 * self._prepared.splits.counts.test)
                self._baseline(self._stop_token, self._context.progress.called_around)
                program = self._optimize(optimizer)
        except Interrupt as interrupt:
            program = self._best_so_far(interrupt)
        self._context.progress.end_optimizer()
        return program

    def _construct(self) -> Any:
        """Restores what an earlier attempt left, and constructs the optimizer, which may refuse its arguments. Neither
        asks a model."""
        plan, candidates = self._plan, self._context.candidates
        restore(self._context.inputs / pod_files.CHECKPOINT, self._context.outbox.checkpoint)
        self._context.progress.scores_on = plan.scores_on
        candidates.begin(plan.program, self._context.inputs)
        self._observers = self._strategy.observers(plan, candidates)
        return self._strategy.build(plan, self._optimizer_metric(), self._context.progress, candidates)

    def _preflight(self) -> None:
        plan = self._plan
        rows = plan.splits.train or plan.splits.test
        tried = spread(rows, self._context.settings.preflight_rows)
        with watched(self._watch("preflight", self._stop_token, self._context.settings.preflight_patience)):
            check_models(plan.models)
            check_budget(plan.models, self._caps, self._context.ledger)
            if self._prepared.job.spec.program is not None:
                check_program(plan.program, tried, self._context.settings.first_answer_seconds)
            if plan.joined:
                gold, field = self._prepared.columns.outputs, counted_field(plan)
                check_joined(plan.joined, gold, tried, self._context.settings.first_answer_seconds, field)
            choose_gold(self._metric, plan.program, rows)
            check_metric(self._metric, plan.program, tried)
            self._strategy.check_metric(plan, self._metric.objectives)

    def _optimizer_metric(self) -> Any:
        splits, options = self._plan.splits, self._plan.options
        rows = len(splits.train) + (len(splits.val) if options.uses_validation_rows else 0)
        return self._metric.bound(
            self._stop_token,
            self._context.progress.called if self._strategy.counts_calls else _uncounted,
            begins=lambda: self._caps.metric_call("optimize"),
            feedback=self._strategy.feedback,
            allowed=self._metric.allowance(rows, least=1),
        )

    def _baseline(self, stop_token: StopToken, called: Callable[[bool], None]) -> None:
        counts = self._prepared.splits.counts
        self._context.progress.stage("Running")
        self._context.outbox.event(events.SPLITS_READY, {"train": counts.train, "val": counts.val, "test": counts.test})
        baseline = self._reserve.baseline(lambda: self._evaluate("baseline", self._plan.program, stop_token, called))
        self._record.baseline, self._baseline_rows = baseline.score, baseline.rows
        self._context.outbox.event(events.BASELINE, {"baseline_test_metric": baseline.score})

    def _optimize(self, optimizer: Any) -> dspy.Module:
        plan, strategy = self._plan, self._strategy
        calls = strategy.calls(plan)
        total = None if calls is None else strategy.total(calls)
        counts_demos = calls is None or calls.scores.most > 0
        self._context.progress.begin_optimizer(plan.optimizer.__name__, total, counts_demos)
        strategy.use_scale(optimizer, plan, self._metric.scale)
        watch = self._watch("optimize", self._stop_token)
        with watched(watch, [*self._observers, *self._measured]):
            try:
                program = strategy.compile(optimizer, plan)
            except Exception as error:
                watch.check()
                logger.info("%s raised %s", plan.optimizer.__name__, first_line(error))
                program = self._best_despite(error, watch)
            self._caps.complete("optimize")
            self._stop_token.check()
        if not isinstance(program, dspy.Module):
            raise JobFailed("OptimizerFailed", f"{plan.optimizer.__name__} returned no program.")
        if strategy.state_tells and self._context.candidates.is_one(program):
            self._context.candidates.made(state_of(program))
        if strategy.state_tells:
            self._say_nothing_tried(
                why_nothing_was_tried(plan.optimizer.__name__, program, self._context.candidates, calls, watch)
            )
        return program

    def _say_nothing_tried(self, why: str) -> None:
        self._record.nothing_tried = why
        if why:
            logger.warning("Nothing was tried: %s", why)
            self._context.outbox.event(events.NOTHING_TRIED, {"nothing_tried": why})

    def _best_despite(self, error: Exception, watch: ModelWatch) -> dspy.Module:
        """Some optimizers give up when a model refuses a single request, such as one for a proposal. Then the best
        program that they had found is kept, or the program as it was given if the refusal came before any other."""
        best = None if OF_ONE_REQUEST.isdisjoint(watch.failures) else self._context.candidates.final()
        if best is not None:
            logger.warning("a model refused a request of the optimizer, which gave up: the best so far is kept")
            self._record.stopped_early = True
            return self._program_of(best)
        if refusal_behind(error) is None:
            raise error
        self._context.candidates.obstacle = f"it gave up on {first_line(error)}"
        return self._plan.program.deepcopy()

    def _best_so_far(self, interrupt: Interrupt) -> dspy.Module:
        """The best program, if the user or the budget stopped the run and there is one; otherwise the cause is raised
        again. A budget without any leaves the program as it was given."""
        if interrupt.failure is not None:
            raise interrupt.failure
        by_budget = self._caps.hit is not None
        if by_budget:
            self._caps.drain(_LONGEST_DRAIN)
        best = self._context.candidates.final()
        if best is None and not by_budget:
            raise interrupt
        self._record.stopped_early = True
        if best is None:
            self._say_nothing_tried(
                f"{self._plan.optimizer.__name__} had scored no other program than the one that it was given when the "
                f"job reached {self._caps.said()}."
            )
            return self._plan.program.deepcopy()
        if self._record.baseline is None:  # stopped before it was scored; the best is an earlier attempt's
            self._baseline(StopToken(), self._context.progress.called_around)
        return self._program_of(best)

    def _better(self, state: State) -> None:
        self._reserve.improved(lambda program: self._context.candidates.is_one(program) and state_of(program) == state)

    def _program_of(self, candidate: Candidate) -> dspy.Module:
        program = self._plan.program.deepcopy()
        load(program, candidate.state)
        return program

    def _mended(self, program: dspy.Module) -> dspy.Module:
        """Done before the final score, so that what is scored is what every form of the artifact gives back."""
        for name, reasons in mend(program).items():
            self._record.dropped_demos[name] = len(reasons)
            logger.warning("%d demos of predictor %s are dropped: %s", len(reasons), name, reasons[0])
        return program

    def _evaluate(
        self, which: str, program: dspy.Module, stop_token: StopToken, called: Callable[[bool], None]
    ) -> Evaluation:
        rows, metric, settings = self._prepared.splits.test, self._metric, self._context.settings
        allowed = metric.allowance(len(rows))
        stage: CallStage = "baseline" if which == "baseline" else "final"
        begins = partial(self._caps.metric_call, stage)
        scoring = metric.scoring(stop_token, called, begins=begins, allowed=allowed)
        evaluation = evaluate(program, rows, metric, scoring, self._watch(stage, stop_token), self._plan.threads)
        self._caps.complete(stage)
        self._record.failed_rows[which] = failed_rows.document(evaluation, settings.listed_failed_rows)
        if evaluation.failed_rows:
            logger.warning("%s: %s", which, failed_rows.said(evaluation))
        failure = failed_rows.too_many(evaluation, allowed.share)
        if failure is not None:
            raise failure
        return evaluation

    def _compare(self, optimized: Evaluation) -> None:
        scores = ([row.score for row in rows] for rows in (self._baseline_rows, optimized.rows))
        self._record.verdict, self._record.comparison = compare(*scores)
        if self._record.nothing_tried and self._record.verdict == "improved":
            self._record.verdict = "no_evidence"  # it is the same program, so the difference is chance
        logger.info("%s", verdicts.sentence(self._record.verdict, self._record.comparison))

    def _require(self) -> None:
        """Checked last, so that a job that requires an improvement and gets none still shows what was found."""
        required, record = self._prepared.job.spec.run.require, self._record
        if required is not None and record.verdict != required:
            compared = verdicts.sentence(record.verdict, record.comparison)
            told = verdicts.UNSCORED if record.unscored else compared
            raise JobFailed(NO_IMPROVEMENT, f"{told} The job requires the verdict '{required}'.")

    def _watch(self, stage: CallStage, stop_token: StopToken, patience: float | None = None) -> ModelWatch:
        context = self._context
        context.patience.begin(stop_token, patience or context.settings.rate_limit_patience)
        self._caps.begin(stage, stop_token)
        watch = ModelWatch(stage, stop_token, self._plan.models, context.journal, context.settings)
        self._watches.append(watch)
        return watch

    def _keep(self, program: dspy.Module, rows: Callable[[], bytes] | None) -> None:
        prepared = self._prepared
        try:
            self._record.not_written = write_artifact(
                self._context.outbox.artifact,
                program,
                (*prepared.program.user_modules, *self._strategy.modules(self._plan)),
                self._context.candidates.given,
                self._record.artifact_metadata() | self._made_of(),
                self._context.redactor,
                rows,
                self._strategy.records(self._plan),
            )
            self._record.program_kept = True
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "DiskFull" if full else "ArtifactFailed"
            raise JobFailed(reason, f"The program cannot be written: {first_line(error)}") from error

    def _made_of(self) -> dict[str, Any]:
        plan, context = self._plan, self._context
        return {
            "payload_digest": payload_digest(context.inputs),
            "image_digest": image_digest(context.settings.image),
            "seeds": seeds(self._prepared.job.seed, plan.optimizer, plan.kwargs, plan.compile_kwargs),
        }

    def _note(self) -> None:
        record, candidates = self._record, self._context.candidates
        record.gold_as_sent = self._metric.gold_as_sent
        patience, default = self._context.patience, self._plan.models.default
        record.engine, record.threads = patience.engine(default), patience.threads(default)
        if self._caps.hit is not None:
            record.budget_hit, record.budget_said = self._caps.hit, self._caps.said()
            self._context.outbox.event(events.BUDGET_HIT, {"budget_hit": self._caps.hit})
        record.metric_calls = self._context.progress.calls
        record.metric_errors, scale = self._metric.errors, self._metric.scale
        record.score_scale = None if scale.usual else scale.document()
        for watch in self._watches:
            record.model_errors_by_kind.update(watch.failures)
        record.candidate_scores, record.best_so_far = candidates.scores, candidates.best_so_far
        record.best_score = candidates.best.score if candidates.best else None
        record.candidates_count = candidates.count


def _uncounted(_for_demo: bool) -> None:
    """For an optimizer that counts its metric calls itself."""


def failure_of(error: BaseException, optimizer: str) -> JobFailed:
    """Whatever ended a run, as a failure with its cause in the first line."""
    if isinstance(error, Interrupt) and error.failure is not None:
        return error.failure
    if isinstance(error, JobFailed):
        return error
    if isinstance(error, SystemExit):
        return JobFailed("OptimizerFailed", f"The program's or metric's code calls sys.exit{user_line(error)}.")
    return JobFailed("OptimizerFailed", f"{optimizer} failed{user_line(error)}: {first_line(error)}")
