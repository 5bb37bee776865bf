"""A run that begins with a state: it is the baseline, every optimizer goes on from it, and no other one is loaded."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer

INSTRUCTIONS = "Classify with care."
FIELDS = [{"prefix": "Text:", "description": "${text}"}, {"prefix": "Label:", "description": "${label}"}]
STATE: dict[str, Any] = {
    "traces": [],
    "train": [],
    "demos": [{"text": ticket["text"], "label": ticket["label"], "augmented": True} for ticket in TICKETS[:4]],
    "signature": {"instructions": INSTRUCTIONS, "fields": FIELDS},
    "lm": None,
    "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.4.1", "cloudpickle": "3.1"}},
}
OPTIMIZERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("evaluate", {}, {}),
    ("dspy.LabeledFewShot", {"k": 2}, {}),
    ("dspy.BootstrapFewShot", {"max_bootstrapped_demos": 1}, {}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 2}, {}),
    ("dspy.BootstrapFewShotWithOptuna", {"num_candidate_programs": 2}, {"max_demos": 2}),
    ("miprov2", {"auto": None, "num_candidates": 2}, {"num_trials": 2, "minibatch": False}),
    ("gepa", {"max_metric_calls": 40}, {}),
    ("simba", {"bsize": 8, "num_candidates": 2, "max_steps": 1}, {}),
    ("dspy.COPRO", {"breadth": 2, "depth": 1}, {}),
    ("dspy.InferRules", {"num_candidates": 1, "num_rules": 2}, {}),
]


def run(
    forge: OptimizerForge,
    root: Path,
    url: str,
    state: Any,
    optimizer: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    chosen = optimizer or {"name": "evaluate"}
    begin = {} if state is None else {"initial": {"code": json.dumps(state)}}
    return forge.run(make_folders(root, make_spec(url, optimizer=chosen, **begin, **changes)))


def kept_state(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "out" / "artifact" / "program.json").read_text()))


@pytest.mark.parametrize(("name", "kwargs", "compile_kwargs"), OPTIMIZERS, ids=[name for name, _, _ in OPTIMIZERS])
def test_every_optimizer_goes_on_from_it(
    name: str,
    kwargs: dict[str, Any],
    compile_kwargs: dict[str, Any],
    forge: OptimizerForge,
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    optimizer = {"name": name, "kwargs": kwargs, "compileKwargs": compile_kwargs}
    cold = run(forge, tmp_path / "cold", server.url, None, optimizer)
    warm = run(forge, tmp_path / "warm", server.url, STATE, optimizer)
    assert (cold["outcome"], warm["outcome"]) == ("Succeeded", "Succeeded"), warm["message"]
    assert warm["baselineScore"] > cold["baselineScore"]


def test_a_score_is_that_of_the_state(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    run(forge, tmp_path / "warm", server.url, STATE)
    found = kept_state(tmp_path / "warm")
    assert found["signature"]["instructions"] == INSTRUCTIONS
    assert found["demos"] == STATE["demos"]


def test_what_one_job_made_is_what_the_next_begins_with(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    made = run(forge, tmp_path / "first", server.url, None, {"name": "dspy.LabeledFewShot", "kwargs": {"k": 8}})
    split = {"train": "0.5", "val": "0.25", "test": "0.25", "shuffle": True, "seed": 7}
    state = kept_state(tmp_path / "first")
    again = run(
        forge, tmp_path / "second", server.url, state, {"name": "dspy.LabeledFewShot", "kwargs": {"k": 8}}, split=split
    )
    assert again["baselineScore"] == made["optimizedScore"]
    assert again["nothingTried"], "the same demos once more are nothing new"


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(STATE), **changes}


def with_fields(*fields: dict[str, str]) -> dict[str, Any]:
    return changed(signature={"instructions": INSTRUCTIONS, "fields": list(fields)})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"draft": STATE}, "The state lacks 'self' of the program; it has 'draft'."),
        ({"self": STATE, "check": STATE}, "The state has 'check', which the program lacks"),
        (with_fields(FIELDS[0]), "The predictor 'self' has the fields 'text', 'label'; in the state it has 'text'."),
        (with_fields(FIELDS[1], FIELDS[0]), "in the state it has 'label', 'text'"),
        ({}, "The state holds no predictor."),
        (changed(demos=[1]), "are no list of objects"),
        (changed(metadata={"dependency_versions": {"acme": "1"}}), "'acme'"),
    ],
)
def test_what_does_not_fit_ends_the_job_before_money_is_spent(
    state: Any, words: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path / "job", server.url, state)
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidInitialState")
    assert words in result["message"]
    assert server.stats.calls == 0


def test_a_model_in_a_state_is_not_asked(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    model = {"model": "openai/other", "api_base": "http://127.0.0.1:1/v1", "api_key": "k", "unknown": 1}
    result = run(forge, tmp_path / "job", server.url, changed(lm=model, surprise="x"))
    assert result["outcome"] == "Succeeded", result["message"]
    assert kept_state(tmp_path / "job")["lm"] is None
