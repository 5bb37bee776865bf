"""Rows that fail, by the model's answer or by the metric: none of them decides alone, all of them are told, and a score
of which too many fail is none.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dspy_service_runner.optimizer.run import failed_rows
from dspy_service_runner.optimizer.run.evaluation import Evaluation, RowOutcome
from dspy_service_runner.optimizer.user_code.metrics.failing_rows import Allowance, FailingRows
from dspy_service_runner.optimizer.user_code.metrics.score import Scale
from odd_model import MANNERS, OddModel
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

Row = dict[str, Any]


@pytest.fixture
def odd(server: ScriptedServer) -> ScriptedServer:
    server.model = OddModel()
    return server


def rows(count: int, manners: dict[int, str], label: str | None = "a") -> list[Row]:
    """The numbered ones are answered by their manner, the others rightly."""
    return [{"text": f"Row {n} =a {f'[{manners[n]}]' if n in manners else ''}", "label": label} for n in range(count)]


def run(forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path, given: list[Row], **changes: Any) -> dict[str, Any]:
    """The first half trains, the second is the test; the optimizer asks nobody."""
    spec = {
        "optimizer": {"name": "dspy.LabeledFewShot", "kwargs": {"k": 1}},
        "split": {"train": "0.5", "val": "0", "test": "0.5", "shuffle": False},
    }
    return forge.run(make_folders(tmp_path / "job", make_spec(odd.url, **(spec | changes)), given))


def failed(result: dict[str, Any], which: str = "baseline") -> list[int]:
    return [row["row"] for row in result["details"]["failed_rows"][which]["rows"]]


@pytest.mark.parametrize("manner", MANNERS)
def test_an_odd_answer_costs_its_row_alone(
    manner: str, forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, odd, tmp_path, rows(20, {0: manner, 12: manner, 17: manner}))

    assert result["outcome"] == "Succeeded", result["message"]
    assert (result["baselineScore"], result["optimizedScore"]) == (80.0, 80.0)
    assert (failed(result), failed(result, "optimized")) == ([12, 17], [12, 17])
    assert all(row["error"] for row in result["details"]["failed_rows"]["baseline"]["rows"])


def test_odd_answers_in_turns(forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path) -> None:
    odd_rows = dict(enumerate(MANNERS, 40))
    result = run(forge, odd, tmp_path, rows(80, odd_rows))

    assert result["outcome"] == "Succeeded", result["message"]
    assert failed(result) == list(odd_rows)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_first_training_row_of_an_odd_answer_does_not_decide(
    manner: str, forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    """The metric reads what only a real prediction has, so that a made-up right answer will not do."""
    metric = {"code": "def metric(gold, pred):\n    return gold.label == pred.completions.label[0]"}
    result = run(forge, odd, tmp_path, rows(20, {0: manner}), metric=metric)

    assert result["outcome"] == "Succeeded", result["message"]
    assert result["baselineScore"] == 100.0


def test_what_the_preflight_asked_is_not_asked_again(
    forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    odd.keep_requests = True
    metric = {"code": "def metric(gold, pred, trace=None):\n    return gold.label == pred.completions.label[0]"}
    optimizer = {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 2}}
    result = run(forge, odd, tmp_path, rows(20, {0: "prose"}), metric=metric, optimizer=optimizer)

    assert result["outcome"] == "Succeeded", result["message"]
    asked = [str(request["request"]["messages"]) for request in odd.requests]
    assert any("Row 0" in text for text in asked)
    assert len(asked) == len(set(asked))


SHARES: list[tuple[int, int, str, bool]] = [
    (1, 0, "0", True),
    (1, 1, "0", False),
    (1, 1, "0.2", False),
    (1, 1, "1", True),
    (2, 1, "0.2", False),
    (2, 1, "0.5", True),
    (2, 2, "0.5", False),
    (2, 2, "1", True),
    (5, 1, "0.2", True),
    (10, 2, "0.2", True),
    (10, 3, "0.2", False),
    (10, 1, "0", False),
    (100, 29, "0.29", True),
    (100, 30, "0.29", False),
    (100, 7, "0.07", True),
    (5000, 1000, "0.2", True),
    (5000, 1001, "0.2", False),
    (5000, 5000, "1.0", True),
    (5000, 1, "1e-05", False),
]


@pytest.mark.parametrize(("count", "failing", "share", "allowed"), SHARES)
def test_the_share_is_exact(count: int, failing: int, share: str, allowed: bool) -> None:
    outcomes = tuple(
        RowOutcome(n, {}, {}, {"x": 1}, None if n < failing else 1.0, "gone" if n < failing else None)
        for n in range(count)
    )
    failure = failed_rows.too_many(Evaluation(0.0, outcomes), Decimal(share))

    assert (failure is None) is allowed
    if failure is not None:
        assert failure.reason == "TooManyFailedRows"
        assert failure.message.splitlines()[0].startswith(f"{failing} of {count} test rows failed")
        assert "dataset[0]: gone" in failure.message.splitlines()[0]
        assert len(failure.message.splitlines()) <= 22


@pytest.mark.parametrize(
    ("count", "failing", "share", "outcome", "reason"),
    [
        (2, [], "0", "Succeeded", "Completed"),
        (2, [1], "1", "Succeeded", "Completed"),
        (2, [1], None, "Failed", "ProgramFailed"),
        (4, [2], None, "Failed", "TooManyFailedRows"),
        (4, [2], "0.5", "Succeeded", "Completed"),
        (20, [11, 12], None, "Succeeded", "Completed"),
        (20, [11, 12, 13], None, "Failed", "TooManyFailedRows"),
        (20, [11], "0", "Failed", "TooManyFailedRows"),
    ],
)
def test_a_score_fails_beyond_the_share(
    count: int,
    failing: list[int],
    share: str | None,
    outcome: str,
    reason: str,
    forge: OptimizerForge,
    odd: ScriptedServer,
    tmp_path: Path,
) -> None:
    given = rows(count, dict.fromkeys(failing, "prose"))
    result = run(forge, odd, tmp_path, given, run={} if share is None else {"maxFailedRows": share})

    assert (result["outcome"], result["reason"]) == (outcome, reason), result["message"]
    assert failed(result) == failing
    if outcome == "Failed":
        assert result["baselineScore"] is None, "a figure that is not so"
        for number in failing:
            assert f"dataset[{number}]: AdapterParseError" in result["message"]
        assert "no 'label' in the answer 'Sure! I would say it is fine.'" in result["message"].splitlines()[0]


def test_all_rows_alike(forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, odd, tmp_path, [{"text": "Row =a", "label": "a"}] * 20)

    assert (result["outcome"], result["optimizedScore"]) == ("Succeeded", 100.0)
    assert result["details"]["failed_rows"]["optimized"] == {"count": 0, "rows": []}


NO_GOLD = "def metric(gold, pred, trace=None):\n    return gold.label.lower() == pred.label.lower()"


@pytest.mark.parametrize("empty", [[0], [0, 3], [9], [12], [0, 12]])
def test_a_row_without_gold_does_not_decide(
    empty: list[int], forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    given = [row | {"label": None} if n in empty else row for n, row in enumerate(rows(20, {}))]
    optimizer = {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 8, "max_labeled_demos": 0}}
    result = run(forge, odd, tmp_path, given, metric={"code": NO_GOLD}, optimizer=optimizer)

    assert result["outcome"] == "Succeeded", result["message"]
    assert failed(result) == [n for n in empty if n >= 10]
    for row in result["details"]["failed_rows"]["baseline"]["rows"]:
        assert row["error"] == "the metric raised AttributeError: 'NoneType' object has no attribute 'lower' at line 2"


def test_training_rows_that_all_fail_are_named_with_their_cause(
    forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    given = [row | {"label": None} if n < 10 else row for n, row in enumerate(rows(20, {}))]
    result = run(forge, odd, tmp_path, given, metric={"code": NO_GOLD})

    assert (result["outcome"], result["reason"]) == ("Failed", "MetricFailed")
    first, _, *told = result["message"].splitlines()
    error = "The metric raised AttributeError: 'NoneType' object has no attribute 'lower' at line 2"
    assert first == f"{error} (dataset[0], whose 'label' is null)."
    assert len(told) == 5
    assert told[0].startswith("dataset[0], whose 'label' is null: the metric raised")
    assert told[4].startswith("dataset[9], whose 'label' is null: the metric raised")


MIND = """
calls = 0
def metric(gold, pred, trace=None):
    global calls
    calls += 1
    if calls > {after}:
        {then}
    return gold.label == pred.label
"""
ENDS: dict[str, tuple[str, str]] = {
    "raises": ("raise KeyError('gone')", "The metric raised KeyError: 'gone' at line 7"),
    "exits": ("raise SystemExit(3)", "The metric raised SystemExit: 3 at line 7"),
    "reads what is not there": ("return gold.nope", "The metric raised AttributeError: "),
    "None": ("return None", "The metric returned None; return a bool, a number, "),
    "text": ("return 'good'", "The metric returned a str; return "),
    "NaN": ("return float('nan')", "The metric returned nan; return a finite number"),
    "infinity": ("return -float('inf')", "The metric returned -inf; return a finite number"),
    "a list": ("return [1.0]", "The metric returned a list; return "),
    "a dict": ("return {'accuracy': 1}", "The metric returned a dict without 'score'; return "),
    "a coroutine": ("return (lambda: (yield))()", "The metric returned a generator; return "),
}


@pytest.mark.parametrize("after", [3, 13], ids=["in the baseline", "in the optimizer"])
@pytest.mark.parametrize(("then", "said"), ENDS.values(), ids=ENDS)
def test_a_metric_that_changes_its_mind_ends_the_run_with_its_own_error(
    then: str, said: str, after: int, forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    optimizer = {"name": "dspy.COPRO", "kwargs": {"breadth": 3, "depth": 4}}
    metric = {"code": MIND.format(after=after, then=then)}
    result = run(forge, odd, tmp_path, rows(20, {}), metric=metric, optimizer=optimizer)

    assert (result["outcome"], result["reason"]) == ("Failed", "MetricFailed"), result["message"]
    assert result["message"].startswith(said)
    assert "(dataset[" in result["message"].splitlines()[0]
    assert "max_failed_rows allows a share of 0.2" in result["message"].splitlines()[1]
    assert len(result["message"].splitlines()) >= 5, "the rows are named"
    assert (result["baselineScore"] is None) is (after == 3)


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("gepa", {"max_metric_calls": 200}),
    ("miprov2", {"auto": "light"}),
    ("simba", {"bsize": 8, "num_candidates": 3, "max_steps": 3}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 8}),
    ("dspy.BootstrapFewShot", {"max_bootstrapped_demos": 8, "max_rounds": 3}),
    ("dspy.InferRules", {"num_candidates": 3}),
]


@pytest.mark.parametrize(("name", "kwargs"), OPTIMIZERS, ids=[name for name, _ in OPTIMIZERS])
def test_no_optimizer_swallows_it(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    metric = {"code": MIND.format(after=16, then="return None")}
    spec = make_spec(server.url, optimizer={"name": name, "kwargs": kwargs}, metric=metric)
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["reason"]) == ("Failed", "MetricFailed"), result["message"]
    assert result["message"].startswith("The metric returned None")


CHANGING_TYPE = """
import itertools
kinds = itertools.cycle([float, bool, int, lambda x: {"score": x}, lambda x: dspy.Prediction(score=x, feedback="f")])
def metric(gold, pred, trace=None):
    return next(kinds)(gold.label == pred.label)
"""


def test_a_metric_may_change_the_type_of_its_score(forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, odd, tmp_path, rows(20, {}), metric={"code": CHANGING_TYPE})

    assert (result["outcome"], result["baselineScore"]) == ("Succeeded", 100.0)


def test_one_row_tried_again_and_again_does_not_end_a_stage() -> None:
    failing = FailingRows(Allowance(10, Decimal("0.2"), patience=3, least=1))
    for _ in range(50):
        failing.failed(1, "gone")
    assert not failing.too_many
    for row in (2, 3):
        failing.failed(row, "gone")
    assert failing.too_many


def test_one_candidate_that_the_metric_cannot_read_does_not_end_a_stage() -> None:
    failing = FailingRows(Allowance(10, Decimal("0.2"), patience=20))
    for _ in range(40):
        failing.worked()
    for row in range(10):
        failing.failed(row, "gone")
        assert not failing.too_many


def test_a_metric_that_fails_for_long_ends_a_stage_that_worked_for_longer() -> None:
    failing = FailingRows(Allowance(10, Decimal("0.2"), patience=20))
    for _ in range(10_000):
        failing.worked()
    for call in range(20):
        assert not failing.too_many
        failing.failed(call % 10, "gone")
    assert failing.too_many


@pytest.mark.parametrize("share", ["1", "1.0"])
def test_a_share_of_1_allows_all(share: str) -> None:
    failing = FailingRows(Allowance(2, Decimal(share), patience=1))
    for row in range(50):
        failing.failed(row, "gone")
    assert not failing.too_many


SCALES: dict[str, tuple[str, dict[str, float] | None]] = {
    "0 to 1": ("gold.label == pred.label", None),
    "0 to 100": ("100 * (gold.label == pred.label)", {"lowest": 0.0, "highest": 100.0, "perfect_score": 100.0}),
    "1 to 5": ("1 + 4 * (gold.label == pred.label)", {"lowest": 0.0, "highest": 5.0, "perfect_score": 5.0}),
    "-1 to 1": ("1 if gold.label == pred.label else -1", {"lowest": -1.0, "highest": 1.0, "perfect_score": 1.0}),
    "unknown at the preflight": (
        "100 * (gold.label == pred.completions.label[0])",
        {"lowest": 0.0, "highest": 100.0, "perfect_score": 100.0},
    ),
}


@pytest.mark.parametrize(("score", "told"), SCALES.values(), ids=SCALES)
def test_gepa_reflects_whatever_the_scale(
    score: str, told: dict[str, float] | None, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    spec = make_spec(
        server.url,
        optimizer={"name": "gepa", "kwargs": {"max_metric_calls": 60}},
        metric={"code": f"def metric(gold, pred, trace=None):\n    return {score}"},
    )
    folders = make_folders(tmp_path / "job", spec)
    result = forge.run(folders)

    assert result["outcome"] == "Succeeded", result["message"]
    assert server.stats.by_kind["propose"] > 0, "it never reflected"
    assert result["details"]["score_scale"] == told
    assert sum("outside 0 to 1" in message for message in folders.messages()) == (told is not None)


def test_a_scale_that_is_told_is_kept(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    spec = make_spec(
        server.url,
        optimizer={"name": "gepa", "kwargs": {"max_metric_calls": 60, "perfect_score": 0.5}},
        metric={"code": "def metric(gold, pred, trace=None):\n    return 100 * (gold.label == pred.label) + 1"},
    )
    forge.run(make_folders(tmp_path / "job", spec))

    assert server.stats.by_kind["propose"] == 0, "all scores are above the perfect one"


@pytest.mark.parametrize(
    ("right", "seen", "perfect"),
    [
        (None, [], 1),
        (1, [0.4, 1], 1),
        (0.5, [0.4], 1),
        (100, [100, 40], 100),
        (5, [5, 1], 5),
        (1.5, [1.5], 1.5),
        (None, [40], 100),
        (0, [3], 100),
        (1, [60], 100),
        (None, [400], 1000),
        (None, [-3], 1),
    ],
)
def test_the_perfect_score(right: float | None, seen: list[float], perfect: float) -> None:
    scale = Scale()
    for score in seen:
        scale = scale.with_score(score)
    assert (scale if right is None else scale.with_right_answer(right)).perfect == perfect


LATE = """
calls = 0

def metric(gold, pred, trace=None):
    global calls
    calls += 1
    {late}
    return gold.label == pred.label
"""


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        ("if calls > 27: raise ValueError('no more')", "MetricFailed"),
        ("if calls > 27: return None", "MetricFailed"),
    ],
)
def test_a_program_whose_last_score_fails_is_kept(
    late: str, reason: str, forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    """20 calls are the baseline's; the optimizer makes none."""
    result = run(forge, odd, tmp_path, rows(40, {}), metric={"code": LATE.format(late=late)})

    assert (result["outcome"], result["reason"], result["programKept"]) == ("Failed", reason, True), result["message"]
    assert (result["baselineScore"], result["optimizedScore"], result["verdict"]) == (100.0, None, None)
    kept = {path.name for path in (tmp_path / "job" / "out" / "artifact").iterdir()}
    assert kept >= {"program.json", "program.pkl"}
    assert "rows.jsonl" not in kept


def test_a_program_that_was_never_finished_is_not_kept(
    forge: OptimizerForge, odd: ScriptedServer, tmp_path: Path
) -> None:
    given = rows(40, dict.fromkeys(range(20, 40), "prose"))
    result = run(forge, odd, tmp_path, given)
    assert (result["outcome"], result["programKept"]) == ("Failed", False)
    assert not (tmp_path / "job" / "out" / "artifact").exists()
