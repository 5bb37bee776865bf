"""A job's adapter writes its prompts, those that are run as those that are shown, and the artifact names it."""

import json
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_runner.optimizer.adapters import adapter_of
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

OPTIMIZERS = [
    {"name": "dspy.BootstrapFewShot"},
    {
        "name": "miprov2",
        "kwargs": {"auto": None, "num_candidates": 2},
        "compileKwargs": {"num_trials": 2, "minibatch": False},
    },
    {"name": "evaluate"},
]
MARKS = {"chat": "[[ ## label ## ]]", "json": "JSON object", "xml": "<label>"}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: str(optimizer["name"]))
@pytest.mark.parametrize("adapter", ["chat", "json", "xml"])
def test_every_prompt_is_the_adapters(
    adapter: str, optimizer: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer, adapter=adapter))
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["baselineScore"] > 0
    kept = folders.out / "artifact"
    assert json.loads((kept / "metadata.json").read_text())["adapter"] == adapter
    shown = (kept / "prompt.md").read_text()
    assert MARKS[adapter] in shown
    assert all(mark not in shown for other, mark in MARKS.items() if other != adapter)


def test_an_absent_adapter_is_chat(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer={"name": "evaluate"}))
    forge.run(folders)
    assert json.loads((folders.out / "artifact" / "metadata.json").read_text())["adapter"] == "chat"
    assert MARKS["chat"] in (folders.out / "artifact" / "prompt.md").read_text()


def test_all_three_are_dspys_own() -> None:
    made = {name: type(adapter_of(OptimizationJobSpec.without_content(make_spec(adapter=name)))) for name in MARKS}
    assert made == {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}
