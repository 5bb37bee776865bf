"""A model that the metric asks is no candidate of any optimizer, and its errors are the metric's."""

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import METRIC, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

PREDICT = 'dspy.Predict("text -> label")'
JUDGES = {
    "predict": f"judge = {PREDICT}\ndef asked(text): judge(text=text)\n",
    "chain of thought": 'judge = dspy.ChainOfThought("text -> label")\ndef asked(text): judge(text=text)\n',
    "a new one each time": f"def asked(text): {PREDICT}(text=text)\n",
    "module": (
        "class Judge(dspy.Module):\n"
        "    def __init__(self):\n"
        f"        self.first, self.second = {PREDICT}, {PREDICT}\n"
        "    def forward(self, text):\n"
        "        self.first(text=text)\n"
        "        return self.second(text=text)\n"
        "judge = Judge()\n"
        "def asked(text): judge(text=text)\n"
    ),
    "evaluate": (
        f"judge = {PREDICT}\n"
        "def asked(text):\n"
        "    rows = [dspy.Example(text=text, label='x').with_inputs('text')] * 20\n"
        "    dspy.Evaluate(devset=rows, metric=lambda gold, pred: 1.0, num_threads=2)(judge)\n"
    ),
    "parallel": (
        f"judge = {PREDICT}\n"
        "def asked(text): dspy.Parallel(num_threads=2)([(judge, {'text': text}), (judge, {'text': text})])\n"
    ),
}
"""As the program itself, or alike: nothing but where they run tells them apart."""
JUDGING = """
import dspy
{judge}
def metric(gold, pred, trace=None):
    asked(gold.text)
    return gold.label == pred.label
"""
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("simba", {"bsize": 8, "num_candidates": 2, "max_steps": 2}),
    ("miprov2", {"auto": "light"}),
    ("gepa", {"max_metric_calls": 60}),
    ("dspy.COPRO", {"breadth": 3, "depth": 1}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 2}),
    ("dspy.InferRules", {"num_candidates": 2}),
]
"""Those that do the same twice: BootstrapFewShotWithOptuna draws as it likes."""
CASES = [
    *((name, kwargs, "evaluate") for name, kwargs in OPTIMIZERS),
    *((*OPTIMIZERS[0], judge) for judge in JUDGES if judge != "evaluate"),
]


def searched(forge: OptimizerForge, root: Path, optimizer: dict[str, Any], metric: str) -> dict[str, Any]:
    with ScriptedServer() as server:
        folders = make_folders(root, make_spec(server.url, optimizer=optimizer, metric={"code": metric}))
        result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_MOST_THREADS="1")
    assert result["outcome"] == "Succeeded", result["message"]
    best = folders.out / "checkpoint" / "best.json"
    told = ("candidate_scores", "best_so_far", "baseline_test_metric", "optimized_test_metric")
    state = json.loads(best.read_text())["state"] if best.exists() else None
    return {name: result["details"][name] for name in told} | {"state": state}


@pytest.mark.parametrize(("name", "kwargs", "judge"), CASES, ids=[f"{name} {judge}" for name, _, judge in CASES])
def test_a_judge_changes_nothing_that_is_told_of_the_search(
    name: str, kwargs: dict[str, Any], judge: str, forge: OptimizerForge, tmp_path: Path
) -> None:
    optimizer = {"name": name, "kwargs": kwargs}
    judging = JUDGING.format(judge=JUDGES[judge])

    with_judge = searched(forge, tmp_path / "with", optimizer, judging)
    without = searched(forge, tmp_path / "without", optimizer, METRIC)

    assert without["candidate_scores"]
    assert with_judge == without


def test_a_metric_may_cope_with_a_judge_that_refuses_everything(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = lambda messages: (400, {"message": "no"}) if "Judge this" in messages[0]["content"] else None
    judge = (
        'judge = dspy.Predict(dspy.Signature("text -> label", "Judge this."))\n'
        "def asked(text):\n"
        "    for _ in range(3):\n"
        "        try: judge(text=text)\n"
        "        except Exception: pass\n"
    )
    optimizer = {"name": "dspy.COPRO", "kwargs": {"breadth": 2, "depth": 1}}
    metric = {"code": JUDGING.format(judge=judge)}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer, metric=metric)))

    assert result["outcome"] == "Succeeded", result["message"]
    assert (result["details"]["model_errors"], result["details"]["metric_errors"]) == (0, 0)


def test_a_judge_that_fails_now_and_then_costs_those_rows(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusal = lambda messages: (
        (400, {"message": "flagged by our content policy"})
        if "Judge this" in messages[0]["content"] and "Ticket 3:" in messages[-1]["content"]
        else None
    )
    judge = 'judge = dspy.Predict(dspy.Signature("text -> label", "Judge this."))\ndef asked(text): judge(text=text)\n'
    optimizer = {"name": "dspy.COPRO", "kwargs": {"breadth": 2, "depth": 1}}
    metric = {"code": JUDGING.format(judge=judge)}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer, metric=metric)))

    assert result["outcome"] == "Succeeded", result["message"]
    assert result["details"]["model_errors"] == 0
    assert result["details"]["metric_errors"] > 0


def test_a_dead_model_is_dead_where_only_the_judge_asks_it(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """The metric copes with every error: nothing else would end the run."""
    server.refusal = lambda messages: (401, {"message": "no"}) if "Judge this" in messages[0]["content"] else None
    judge = (
        'judge = dspy.Predict(dspy.Signature("text -> label", "Judge this."))\n'
        "def asked(text):\n"
        "    try: judge(text=text)\n"
        "    except Exception: pass\n"
    )
    models = {
        "default": {"name": "openai/scripted", "baseUrl": server.url},
        "prompt": {"name": "openai/judge", "baseUrl": server.url},
    }
    judge = judge.replace("judge(text=text)", "judge(text=text, lm=LM)").replace(
        "def asked", f'LM = dspy.LM("openai/judge", api_base="{server.url}", api_key="x")\ndef asked'
    )
    metric = {"code": JUDGING.format(judge=judge)}
    optimizer = {"name": "dspy.COPRO", "kwargs": {"breadth": 2, "depth": 1}}
    spec = make_spec(server.url, optimizer=optimizer, metric=metric, models=models)

    result = forge.run(make_folders(tmp_path / "job", spec))

    assert (result["outcome"], result["reason"]) == ("Failed", "ModelAuthFailed")
    assert result["message"].startswith("The prompt model openai/judge")
