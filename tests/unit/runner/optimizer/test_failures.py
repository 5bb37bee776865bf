"""What goes wrong in such services ends as a failure with the real cause first, never as a fake success."""

from pathlib import Path
from typing import Any

import pytest

from dspy_service_runner.optimizer.settings import Settings
from optimizer_job import SIGNATURE, OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer

CLOSED_PORT = "http://127.0.0.1:1/v1"
TWO_SIGNATURES = SIGNATURE + SIGNATURE.replace("class Ticket", "class Other")

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("syntax error", {"signature": {"code": "class Ticket(dspy.Signature:\n"}}, "InvalidSignature", "at line 1"),
    ("no signature", {"signature": {"code": "x = 1"}}, "InvalidSignature", "no class derived from dspy.Signature"),
    ("two signatures", {"signature": {"code": TWO_SIGNATURES}}, "InvalidSignature", "Ticket, Other"),
    ("raising code", {"signature": {"code": "\n1/0"}}, "InvalidSignature", "at line 2: ZeroDivisionError"),
    ("exiting code", {"metric": {"code": "import sys\nsys.exit(0)"}}, "InvalidMetric", "calls sys.exit"),
    ("no metric", {"metric": {"code": "x = 1"}}, "InvalidMetric", "it defines none"),
    ("two metrics", {"metric": {"code": "def a(g, p): 1\ndef b(g, p): 1"}}, "InvalidMetric", "it defines a, b"),
    ("one argument", {"metric": {"code": "def metric(gold): return 1"}}, "InvalidMetric", "takes 1 arguments"),
    ("async", {"metric": {"code": "async def metric(g, p): return 1"}}, "InvalidMetric", "is async"),
    ("none", {"metric": {"code": "def metric(g, p): pass"}}, "MetricFailed", "The metric returned None"),
    ("nan", {"metric": {"code": "def metric(g, p): return float('nan')"}}, "MetricFailed", "finite"),
    ("list", {"metric": {"code": "def metric(g, p): return [1]"}}, "MetricFailed", "returned a list"),
    ("no score", {"metric": {"code": "def metric(g, p): return {'x': 1}"}}, "MetricFailed", "without 'score'"),
    ("raises", {"metric": {"code": "def metric(g, p):\n  return g.nope"}}, "MetricFailed", "at line 2"),
    ("exits", {"metric": {"code": "def metric(g, p):\n  exit(1)"}}, "MetricFailed", "SystemExit"),
    ("uncovered", {"columns": {"inputs": {"text": "text"}, "outputs": {}}}, "InvalidMapping", "'label'"),
    (
        "unknown field",
        {"columns": {"inputs": {"text": "text", "x": "y"}, "outputs": {"label": "label"}}},
        "InvalidMapping",
        "names 'x'",
    ),
    (
        "column missing",
        {"columns": {"inputs": {"text": "body"}, "outputs": {"label": "label"}}},
        "InvalidDataset",
        "dataset[0] lacks the column 'body'",
    ),
    ("no module", {"module": {"name": "dspy.Nope"}}, "InvalidModule", "'dspy.Nope' cannot be loaded"),
    ("bad module kwarg", {"module": {"name": "dspy.ReAct"}}, "InvalidModule", "ReAct refuses its arguments"),
    ("no class", {"optimizer": {"name": "dspy.configure"}}, "InvalidOptimizer", "'dspy.configure' is not a class"),
    (
        "bad kwarg",
        {"optimizer": {"name": "dspy.BootstrapFewShot", "kwargs": {"x": 1}}},
        "InvalidOptimizer",
        "unexpected keyword argument 'x'",
    ),
    ("gepa without budget", {"optimizer": {"name": "gepa"}}, "InvalidOptimizer", "exactly one of auto, "),
    (
        "gepa that ends before its first proposal",
        {"optimizer": {"name": "gepa", "kwargs": {"max_metric_calls": 10}}},
        "InvalidOptimizer",
        "spec.optimizer.kwargs.max_metric_calls 10 is spent on the 10 validation rows",
    ),
    (
        "mipro auto and candidates",
        {"optimizer": {"name": "miprov2", "kwargs": {"num_candidates": 3}}},
        "InvalidOptimizer",
        "spec.optimizer.kwargs.num_candidates conflicts with",
    ),
    ("simba batch", {"optimizer": {"name": "simba"}}, "InvalidOptimizer", "at least 32 training rows (its bsize)"),
    (
        "mipro minibatch",
        {
            "optimizer": {
                "name": "miprov2",
                "kwargs": {"auto": None, "num_candidates": 3},
                "compileKwargs": {"num_trials": 3},
            }
        },
        "InvalidOptimizer",
        "minibatch_size 35 exceeds the 10 validation rows",
    ),
    ("no test", {"split": {"train": "0.5", "val": "0.5", "test": "0"}}, "InvalidSplit", "test split of 40 rows"),
    ("no train", {"split": {"train": "0", "val": "0.5", "test": "0.5"}}, "InvalidSplit", "training split is empty"),
]


@pytest.mark.parametrize(
    ("changes", "reason", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_unusable_input_costs_at_most_a_probe(
    changes: dict[str, Any], reason: str, said: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, **changes))

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Failed", reason)
    assert said in result["message"].splitlines()[0]
    assert server.stats.calls <= 1 + Settings().preflight_rows, "the model's own probe, and the rows that were tried"
    assert folders.progress()["startedAt"] is None
    assert any(entry["level"] == "ERROR" and "Traceback" in entry["message"] for entry in folders.lines("logs.jsonl"))


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        ("401", "ModelAuthFailed", "injected 401"),
        ("404", "ModelUnknown", "injected 404"),
        ("400", "ModelRejectedRequest", "injected 400"),
        ("429", "ModelRateLimited", "injected 429"),
        ("500", "ModelFailed", "injected 500"),
        ("refuse", "ModelUnreachable", "scripted"),
    ],
)
def test_a_dead_model_fails_the_preflight(
    fault: str, reason: str, said: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url_of(fault)))

    result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_PREFLIGHT_PATIENCE="0.5")

    assert (result["outcome"], result["reason"]) == ("Failed", reason)
    assert said in result["message"].splitlines()[0]


def test_a_closed_port_fails_the_preflight(forge: OptimizerForge, tmp_path: Path) -> None:
    result = forge.run(make_folders(tmp_path / "job", make_spec(CLOSED_PORT)))

    assert result["reason"] == "ModelUnreachable"
    assert "The default model openai/scripted at http://127.0.0.1:1/v1 could not be reached: " in result["message"]


def test_a_refused_call_without_a_key_says_why(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url_of("401")))

    result = forge.run(folders, DSPY_SERVICE_KEY_DEFAULT="")

    assert "No API key came with this job" in result["message"]


def test_a_dead_reflection_model_fails_the_preflight(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    models = {
        "default": {"name": "openai/scripted", "baseUrl": server.url},
        "reflection": {"name": "openai/thinker", "baseUrl": server.url_of("401")},
    }
    optimizer = {"name": "gepa", "kwargs": {"max_metric_calls": 50}}
    folders = make_folders(tmp_path / "job", make_spec(server.url, models=models, optimizer=optimizer))

    result = forge.run(folders)

    assert result["message"].startswith("The reflection model openai/thinker")
    assert result["reason"] == "ModelAuthFailed"


MID_RUN: list[tuple[str, dict[str, Any]]] = [
    ("gepa", {"max_metric_calls": 200}),
    ("miprov2", {"auto": "light"}),
    ("simba", {"bsize": 8, "num_candidates": 3, "max_steps": 3}),
    ("dspy.COPRO", {"breadth": 4, "depth": 3}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 8}),
    ("dspy.BootstrapFewShot", {}),
]


@pytest.mark.parametrize(("name", "kwargs"), MID_RUN, ids=[name for name, _ in MID_RUN])
def test_a_model_that_dies_during_the_optimizer_is_no_success(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fail_from(13, "401")
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer={"name": name, "kwargs": kwargs}))

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Failed", "ModelAuthFailed")
    assert "injected 401" in result["message"]
    assert "LMAuthError" in folders.messages("dspy_service")[-1], "the model's own stack"
    assert result["baselineScore"] is not None
    assert not (folders.out / "artifact").exists()
    assert server.stats.failed < 60, "it went on asking a dead model"


def test_a_metric_that_raises_sometimes_is_counted_and_scores_zero(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    metric = "def metric(g, p):\n    if '3' in g.text: raise ValueError(g.text)\n    return g.label == p.label"
    rows = [row for row in TICKETS if "3" not in row["text"]] + [row for row in TICKETS if "3" in row["text"]]
    spec = make_spec(
        server.url,
        metric={"code": metric},
        split={"train": "0.5", "val": "0", "test": "0.5", "shuffle": False},
        optimizer={"name": "dspy.COPRO", "kwargs": {"breadth": 2, "depth": 1}},
        run={"maxFailedRows": "0.9"},
    )
    folders = make_folders(tmp_path / "job", spec, rows)

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded"
    assert result["details"]["metric_errors"] == 2 * sum("3" in row["text"] for row in rows)
    assert any("ValueError" in message for message in folders.messages("dspy_service.metric"))


def test_a_metric_that_fails_on_every_real_answer_ends_the_baseline(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    metric = (
        "seen = []\ndef metric(g, p):\n    seen.append(1)\n    if len(seen) > 1: raise KeyError('gone')\n    return 1"
    )
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric}))

    result = forge.run(folders)

    assert result["reason"] == "MetricFailed"
    assert result["message"].startswith("The metric raised KeyError: 'gone' at line 4")


def test_answers_that_cannot_be_parsed_fail_with_the_parser_error(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    code = SIGNATURE.replace("label: str", "label: int")
    folders = make_folders(tmp_path / "job", make_spec(server.url, signature={"code": code}))

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Failed", "ProgramFailed")
    assert "AdapterParseError" in result["message"]


def test_a_process_ended_by_user_code_leaves_no_result(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(
        tmp_path / "job", make_spec(server.url, metric={"code": "import os\ndef metric(g, p): os._exit(7)"})
    )

    assert forge.start(folders).wait() == 7
    assert not (folders.out / "result.json").exists()


def test_no_ready_in_time_is_the_infrastructure_s_fault(forge: OptimizerForge, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", make_spec(), ready=False)

    assert forge.start(folders, DSPY_SERVICE_OPTIMIZER_READY_TIMEOUT="0.05").wait() == 64
    assert not (folders.out / "result.json").exists()
