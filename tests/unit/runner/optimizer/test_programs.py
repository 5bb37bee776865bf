"""Programs of every shape, each in a process of its own: what runs comes to a true result, and what cannot is refused
with the cause and the cure before money is spent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dspy_service_runner.optimizer.settings import Settings
from knowing_model import KnowingModel
from optimizer_job import Folders, OptimizerForge, make_folders, program_spec
from programs import OPTIMIZED, REFUSED, ROWS, Shape
from scripted_lm import ScriptedServer

FEW_SHOT = {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 2, "max_labeled_demos": 2}}


@pytest.fixture
def model() -> KnowingModel:
    return KnowingModel()


@pytest.fixture
def knowing(model: KnowingModel) -> Iterator[ScriptedServer]:
    with ScriptedServer(model=model) as running:
        yield running


def sent(shape: Shape, server: ScriptedServer, model: KnowingModel, root: Path, **changes: Any) -> Folders:
    optimizer = {"kwargs": {}, "compileKwargs": {}, **FEW_SHOT}
    spec = program_spec(server.url, shape.spec(), **{"optimizer": optimizer, **changes})
    return make_folders(root, spec, shape.rows(model))


@pytest.mark.parametrize("shape", OPTIMIZED, ids=lambda shape: shape.name)
def test_it_comes_to_a_true_result(
    shape: Shape, forge: OptimizerForge, knowing: ScriptedServer, model: KnowingModel, tmp_path: Path
) -> None:
    folders = sent(shape, knowing, model, tmp_path / "job")

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Succeeded", "Completed"), result["message"]
    counts = result["splitCounts"]
    assert counts["train"] + counts["val"] + counts["test"] == ROWS
    assert result["optimizedScore"] >= result["baselineScore"]
    state = folders.state()
    assert tuple(name for name in state if name != "metadata") == tuple(shape.predictors)


@pytest.mark.parametrize("shape", REFUSED, ids=lambda shape: shape.name)
def test_it_is_refused_before_money_is_spent(
    shape: Shape, forge: OptimizerForge, knowing: ScriptedServer, model: KnowingModel, tmp_path: Path
) -> None:
    folders = sent(shape, knowing, model, tmp_path / "job")

    result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_LOADING_SECONDS="1")

    assert (result["outcome"], result["reason"]) == ("Failed", shape.reason), result["message"]
    assert shape.refused in result["message"].splitlines()[0]
    assert knowing.stats.calls <= 2 + Settings().preflight_rows, "the models' own probes, and the rows that were tried"
    assert folders.progress()["startedAt"] is None
