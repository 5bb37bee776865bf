"""The facts of one job's run: its progress, its usage, its result; and the files and the part of the status that hold
them.

A field that is added here and computed in the optimizer reaches the status, the store and the API by itself.
"""

from dataclasses import field
from typing import Annotated, Literal

from dspy_service_core.records import values
from dspy_service_core.records.events import NumberedEvent, NumberedLog
from dspy_service_core.records.record import Decimal, JsonObject, Name, OptionalTime, Record, narrow, record, says, text
from dspy_service_core.records.usage import Usage

Outcome = Literal["Succeeded", "Failed", "Cancelled"]
OptimizerStage = Literal["Validating", "Running", "Finishing"]
ScoredOn = Literal["validation", "training"]
"""Rows that an optimizer scores its candidates on: the validation rows, if it takes any and there are some."""
Verdict = Literal["improved", "no_evidence", "worse", "unknown"]
"""Whether the optimized program is better than the one that was given; unknown where too few rows tell, or where
nothing was optimized."""
BudgetCap = Literal["metric_calls", "model_calls", "tokens", "cost_usd", "seconds"]
Stage = Literal["Restoring", "Validating", "Running", "Finishing", "Ended"]

MAX_MESSAGE = 2048
MAX_NOTICE = 1024
MAX_RESULT_BYTES = 4 * 1024 * 1024
"""Bytes that `result.json` may have; it holds the whole message."""
_MAX_REASON = 64
_MAX_EVIDENCE = 64


@record
class Progress(Record):
    percent: Decimal | None = field(
        default=None, metadata=says("Share of the expected metric calls that were made, 0 to 100.")
    )
    calls: int | None = field(default=None, metadata=says("Metric calls made so far."))
    total: int | None = field(default=None, metadata=says("Metric calls expected in all."))
    best_score: Decimal | None = field(
        default=None,
        metadata=says(
            "Best score of a full evaluation so far, 0 to 100; on the rows that bestScoreOn names, never on the test "
            "rows."
        ),
    )
    best_score_on: ScoredOn | None = field(
        default=None, metadata=says("Which rows the best score so far is on: validation or training.")
    )
    best_score_rows: int | None = field(default=None, metadata=says("How many rows the best score so far is on."))
    best_score_at_call: int | None = field(
        default=None, metadata=says("Metric calls that had been made when the best score so far was found.")
    )
    eta_seconds: Decimal | None = field(default=None, metadata=says("Estimated seconds until the end."))


@record
class ProgressDocument(Progress):
    """`progress.json`, which the optimizer replaces again and again while it runs."""

    stage: OptimizerStage = field(kw_only=True)
    started_at: OptionalTime = None
    usage: Usage | None = None
    """Of all attempts; None in a reporter that has read no such document yet."""
    figures: JsonObject = field(default_factory=dict)
    """Those of `optimizer_progress` as they are now: events come more rarely."""
    notice: Annotated[str, text(MAX_NOTICE, values.visible_line)] = ""


@record
class SplitCounts(Record):
    train: int = field(metadata=says("Number of rows for training."))
    val: int = field(metadata=says("Number of rows for validation."))
    test: int = field(metadata=says("Number of rows for the test."))

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


@record
class ArtifactRef(Record):
    path: str = field(metadata=says("Path of the artifact below the store's URL, ending in artifacts/<job id>."))
    bytes: int = field(default=0, metadata=says("Size in bytes of all files of the artifact."))
    digest: str = field(default="", metadata=says("SHA-256 digest of the artifact's manifest."))


@record
class Comparison(Record):
    """Compares the optimized program with the given one, on the same test rows."""

    difference: Decimal = field(metadata=says("Optimized score minus baseline score, in points of 0 to 100."))
    interval: list[Decimal] | None = field(
        default=None,
        metadata=says(
            "Lower and upper end of the interval that the true difference lies in, in points of 0 to 100; absent where "
            "the scores have no bounds or the rows are too few.",
            max_length=2,
        ),
    )
    confidence: Decimal | None = field(
        default=None, metadata=says("Share of such intervals that hold the true difference, such as 0.95.")
    )
    method: Name = field(default="", metadata=says("How the interval or the verdict was found."))
    rows: int = field(default=0, metadata=says("Number of test rows compared."))
    won: int = field(default=0, metadata=says("Rows that the optimized program scored higher on."))
    lost: int = field(default=0, metadata=says("Rows that the optimized program scored lower on."))
    tied: int = field(default=0, metadata=says("Rows that both programs scored alike on."))
    failed_rows: int = field(default=0, metadata=says("Rows that one of the programs failed on; each counts 0."))


@record
class RunResult(Record):
    """What the optimizer reports at its end and the status repeats."""

    outcome: Outcome = field(metadata=says("How the run ended: Succeeded, Failed or Cancelled."))
    reason: Annotated[str, text(_MAX_REASON, values.visible_line)] = field(
        default="", metadata=says("Why the run ended so, in one CamelCase word.")
    )
    message: Annotated[str, text(MAX_MESSAGE, values.visible)] = field(
        default="",
        metadata=says("Why the run ended so; the first line names the cause.", max_length=MAX_MESSAGE),
    )
    stopped_early: bool = field(
        default=False, metadata=says("Whether the run was ended early, with the best program found so far.")
    )
    budget_hit: BudgetCap | None = field(
        default=None,
        metadata=says(
            "Which cap of the budget ended the run: metric_calls, model_calls, tokens, cost_usd or seconds; absent "
            "where none did."
        ),
    )
    nothing_tried: Annotated[str, text(MAX_MESSAGE, values.visible_line)] = field(
        default="",
        metadata=says(
            "Why the optimizer scored nothing but the program as given, in a sentence; empty where it did.",
            max_length=MAX_MESSAGE,
        ),
    )
    split_counts: SplitCounts | None = field(default=None, metadata=says("How many rows each part of the split has."))
    baseline_score: Decimal | None = field(
        default=None, metadata=says("Score of the program as it was given, on the test rows, 0 to 100.")
    )
    optimized_score: Decimal | None = field(
        default=None, metadata=says("Score of the optimized program, on the test rows, 0 to 100.")
    )
    verdict: Verdict | None = field(
        default=None,
        metadata=says(
            "Whether the optimized program is better than the one that was given: improved, no_evidence, worse, or "
            "unknown where fewer than two test rows were scored, nothing was optimized, or the budget did not reach "
            "for the final score."
        ),
    )
    comparison: Comparison | None = field(
        default=None, metadata=says("The evidence for the verdict: both programs' scores on the same test rows.")
    )
    evidence: Annotated[str, text(_MAX_EVIDENCE, values.visible_line)] = field(
        default="",
        metadata=says(
            "Difference of the two scores and its interval in one text, for tables; the score where nothing was "
            "optimized.",
            max_length=_MAX_EVIDENCE,
        ),
    )
    runtime_seconds: Decimal | None = field(default=None, metadata=says("How many seconds the run took."))


@record
class Result(RunResult):
    """The end of the run in the status. The reporter adds the last two fields."""

    artifact: ArtifactRef | None = field(
        default=None, metadata=says("Where the optimized program lies in the store; absent where none was made.")
    )
    ended_at: str = field(default="", metadata=says("Time at which the run ended."))


@record
class ResultDocument(RunResult):
    """`result.json`: the whole message, and what the HTTP API shows beyond the status."""

    message: Annotated[str, text(MAX_RESULT_BYTES, values.visible)] = ""
    model_identifier: Name = ""
    metric_name: Name = ""
    signature_name: Name = ""
    details: JsonObject = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    usage: Usage | None = None
    program_kept: bool = False
    """Whether the optimized program was written. A run can fail after that: its last score cannot be told, or shows no
    improvement where the job demands one."""

    def summary(self, artifact: ArtifactRef | None, ended_at: str) -> Result:
        """The part for the status, with a message that fits there."""
        return narrow(self, Result, message=values.cut(self.message, MAX_MESSAGE), artifact=artifact, ended_at=ended_at)


@record
class RecentEvents(Record):
    count: int = field(default=0, metadata=says("How many progress events there are in all."))
    last: list[NumberedEvent] = field(
        default_factory=list, metadata=says("The newest progress events, at most five.", max_length=5)
    )


@record
class LogTail(Record):
    count: int = field(default=0, metadata=says("How many log entries there are in all."))
    tail: list[NumberedLog] = field(
        default_factory=list, metadata=says("The newest log entries, at most twenty.", max_length=20)
    )


@record
class RunStatus(Record):
    """`status.run`: the reporter's part of the status; nobody else writes it."""

    attempt: int = field(default=0, metadata=says("Number of the attempt that reports."))
    pod_uid: str = field(default="", metadata=says("UID of the pod that reports.", alias="podUID"))
    stage: Stage | None = field(
        default=None,
        metadata=says(
            "What the attempt is doing: restoring its inputs, validating them, running the optimizer or finishing."
        ),
    )
    started_at: str | None = field(
        default=None, metadata=says("Time at which this attempt had validated its inputs and began to optimize.")
    )
    progress: Progress = field(default_factory=Progress, metadata=says("How far the optimization has come."))
    metrics: JsonObject = field(
        default_factory=dict,
        metadata=says("Figures that the progress events reported: the newest value of each name."),
    )
    events: RecentEvents = field(
        default_factory=RecentEvents, metadata=says("How many progress events there are, and the newest of them.")
    )
    logs: LogTail = field(
        default_factory=LogTail, metadata=says("How many log entries there are, and the newest of them.")
    )
    candidates: int = field(default=0, metadata=says("How many programs the search has tried."))
    usage: Usage = field(
        default_factory=Usage, metadata=says("Model calls, tokens and cost so far, all attempts together.")
    )
    notice: Annotated[str, text(MAX_NOTICE, values.visible_line)] = field(
        default="",
        metadata=says(
            "What the run waits for, such as a model's rate limit, in a sentence; empty while it waits for nothing.",
            max_length=MAX_NOTICE,
        ),
    )
    result: Result | None = field(
        default=None, metadata=says("How the run ended and what it brought; absent while it runs.")
    )
    message: Annotated[str, text(MAX_MESSAGE, values.visible)] = field(
        default="",
        metadata=says(
            "What keeps the runner waiting, in a sentence; else the name of the last event.", max_length=MAX_MESSAGE
        ),
    )
