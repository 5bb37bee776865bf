"""Makes `result.json`: how the run ended, for the reporter and in the shape of the HTTP contract's answer."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dspy_service_core.estimate.kept import beside
from dspy_service_core.records import verdicts
from dspy_service_core.records.record import JsonObject
from dspy_service_core.records.run import BudgetCap, Comparison, Outcome, ResultDocument, SplitCounts, Verdict
from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.conditions import EVALUATED, NOTHING_TRIED, SUCCEEDED_MESSAGE
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.inputs import Job
from dspy_service_runner.optimizer.models.spending.caps import BUDGET_SPENT
from dspy_service_runner.optimizer.output.provenance import packages

MAX_MESSAGE = 8192


@dataclass
class RunRecord:
    """Filled as the run goes, so that a failure still says what was found until then."""

    job: Job
    signature_name: str = ""
    metric_name: str = ""
    columns: dict[str, Any] | None = None
    """The column of each input and output, those included that the job left unsaid."""
    splits: SplitCounts | None = None
    baseline: float | None = None
    optimized: float | None = None
    unused_rows: int = 0
    engine: str | None = None
    threads: int | None = None
    """How many calls of the default model at once were found to be good."""
    failed_rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """For each score (baseline, optimized): how many rows failed, and which."""
    score_scale: dict[str, float] | None = None
    """Set only if the metric returned numbers outside 0 to 1."""
    metric_errors: int = 0
    model_errors_by_kind: Counter[str] = field(default_factory=Counter)
    candidate_scores: list[tuple[int, float]] = field(default_factory=list)
    best_so_far: list[tuple[int, float]] = field(default_factory=list)
    best_score: float | None = None
    candidates_count: int = 0
    verdict: Verdict | None = None
    comparison: Comparison | None = None
    stopped_early: bool = False
    budget_hit: BudgetCap | None = None
    metric_calls: int = 0
    budget_said: str = ""
    unscored: bool = False
    """Whether the budget did not reach for the final score."""
    gold_as_sent: bool = False
    dropped_demos: dict[str, int] = field(default_factory=dict)
    """How many demos each predictor lost, because JSON cannot hold them."""
    not_written: dict[str, str] = field(default_factory=dict)
    program_kept: bool = False
    """The files that the artifact lacks, each with why."""
    nothing_tried: str = ""
    """Why the optimizer scored no other program than the given one; empty if it did."""
    optimizes: bool = True
    """False if the given program is scored, and that is all."""
    outcome: Outcome = "Failed"
    reason: str = ""
    message: str = ""

    def succeed(self) -> None:
        self.outcome, self.reason, self.message = "Succeeded", "Completed", SUCCEEDED_MESSAGE
        if self.stopped_early:
            self.reason = BUDGET_SPENT if self.budget_hit else "StoppedEarly"
            self.message = " ".join(self._stopped())
        elif self.nothing_tried:
            self.reason = NOTHING_TRIED
        elif not self.optimizes:
            self.reason = EVALUATED

    def _stopped(self) -> Iterator[str]:
        by = f" by {self.budget_said}" if self.budget_hit else ""
        kept = "the program is kept as it was given" if self.best_score is None else "the best program so far is kept"
        yield f"Stopped early{by}: {kept}" + ("." if self.best_score is None else f" (it scored {self.best_score}).")
        if self.unscored:
            yield "The budget did not reach for its score on the test rows, so nobody knows whether it is better."

    def cancel(self) -> None:
        self.outcome, self.reason = "Cancelled", "Stopped"
        stopped = "the optimizer had scored a program of its own" if self.optimizes else "the program was scored"
        self.message = f"Stopped before {stopped}: there is nothing to keep."

    def fail(self, failure: JobFailed) -> None:
        self.outcome, self.reason, self.message = "Failed", failure.reason, failure.message[:MAX_MESSAGE]

    def metadata(self) -> dict[str, Any]:
        spec = self.job.spec
        return {
            "optimizer": spec.optimizer.name,
            "optimizer_kwargs": spec.optimizer.kwargs,
            "compile_kwargs": spec.optimizer.compile_kwargs,
            "module_kwargs": spec.module_kwargs,
            "model_identifier": spec.models.default.name,
        }

    def _counts(self) -> dict[str, int]:
        return asdict(self.splits) if self.splits else {}

    def _estimate(self, usage: Usage, made: Mapping[str, int]) -> JsonObject | None:
        """`made`: model calls by stage; of all under an empty name."""
        if self.job.estimate is None:
            return None
        tokens = None if usage.prompt_tokens is None else usage.prompt_tokens + (usage.completion_tokens or 0)
        came = {
            "metric_calls": self.metric_calls,
            "model_calls": made[""],
            "tokens": tokens,
            "cost_usd": usage.cost_usd,
        }
        return beside(self.job.estimate, came, made)

    def _details(self, usage: JsonObject, estimate: JsonObject | None) -> dict[str, Any]:
        return {
            **self._counts(),
            "baseline_test_metric": self.baseline,
            "optimized_test_metric": self.optimized,
            "unused_rows": self.unused_rows,
            "engine": self.engine,
            "threads": self.threads,
            "seed": self.job.seed,
            "failed_rows": self.failed_rows,
            "score_scale": self.score_scale,
            "metric_errors": self.metric_errors,
            "model_errors": self.model_errors_by_kind.total(),
            "model_errors_by_kind": dict(self.model_errors_by_kind),
            "stopped_early": self.stopped_early,
            "budget_hit": self.budget_hit,
            "gold": "as_sent" if self.gold_as_sent else "typed",
            "nothing_tried": self.nothing_tried or None,
            "candidate_scores": self.candidate_scores,
            "best_so_far": self.best_so_far,
            "candidates_count": self.candidates_count,
            "usage": usage,
            "estimate": estimate,
            "packages": packages(),
            **({"dropped_demos": self.dropped_demos} if self.dropped_demos else {}),
            **({"not_written": self.not_written} if self.not_written else {}),
        }

    def artifact_metadata(self) -> dict[str, Any]:
        spec = self.job.spec
        return {
            **self.metadata(),
            "job_id": self.job.job_id,
            "module": spec.module_name,
            "adapter": spec.adapter or DEFAULT_ADAPTER,
            "signature": self.signature_name,
            "metric": self.metric_name,
            "columns": self.columns,
            "split_counts": self._counts() or None,
            "seed": self.job.seed,
            "baseline_test_metric": self.baseline,
            "optimized_test_metric": self.optimized,
            "verdict": self.verdict,
            "comparison": verdicts.told(self.comparison) if self.comparison else None,
            "stopped_early": self.stopped_early,
            "packages": packages(),
        }

    def document(self, usage: Usage, breakdown: JsonObject, made: Mapping[str, int], runtime: float) -> ResultDocument:
        document = ResultDocument(
            outcome=self.outcome,
            reason=self.reason,
            message=self.message,
            stopped_early=self.stopped_early,
            budget_hit=self.budget_hit,
            nothing_tried=self.nothing_tried,
            program_kept=self.program_kept,
            split_counts=self.splits,
            baseline_score=self.baseline,
            optimized_score=self.optimized,
            verdict=self.verdict,
            comparison=self.comparison,
            evidence=verdicts.shown(self.comparison) if self.comparison else "",
            runtime_seconds=round(runtime, 3),
            model_identifier=self.job.spec.models.default.name,
            metric_name=self.metric_name,
            signature_name=self.signature_name,
            details=self._details(breakdown, self._estimate(usage, made)),
            metadata=self.metadata(),
            usage=usage,
        )
        if not self.optimizes:
            evidence = verdicts.scored(document)
            evaluated = verdicts.evaluated(document) if self.outcome == "Succeeded" else ""
            document = replace(document, evidence=evidence, message=evaluated or document.message)
        return document
