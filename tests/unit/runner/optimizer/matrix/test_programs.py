"""Programs of every shape by every optimizer: a true result that is built anew elsewhere, or a refusal with its reason.

`make matrix` runs all of it; otherwise a fixed sample is run, in which every program and every optimizer is.
"""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from every_optimizer import OPTIMIZERS, models_beside
from knowing_model import KnowingModel
from optimizer_job import OptimizerForge, make_folders, next_attempt, program_spec
from programs import OPTIMIZED
from rebuilding import Rebuilder, downloaded
from scripted_lm import ScriptedServer
from waiting import wait_for

pytestmark = pytest.mark.timeout(180)

SHAPES = {shape.name: shape for shape in OPTIMIZED}
REFUSED: dict[tuple[str, str], tuple[str, str]] = {}
"""Cells that end before money is spent, with reason and message."""
CELLS = [(name, optimizer) for name in SHAPES for optimizer in OPTIMIZERS]
_EACH = len(OPTIMIZERS) + 1
ONLY_THERE = [
    ("an index that nothing can pickle", "Optuna"),
    ("models of the job, by name and for one predictor", "SIMBA"),
]
"""Cells that have failed where the program's and the optimizer's other cells did not."""
SAMPLE = [cell for number, cell in enumerate(CELLS) if number % _EACH in (2, 8) or cell in ONLY_THERE]
NEVER_RIGHT = {"recursive"}
"""The scripted model writes code that submits one answer to all."""
KILLED = ("MIPROv2", "GEPA", "BetterTogether")
LATER = 55
"""A call after the baseline's forty, which four predictors make, and before the last scores."""
RUN_AGAIN = 3
"""So many test rows are run by the program that is built anew."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    whole = metafunc.config.getoption("--matrix")
    if "killed" in metafunc.fixturenames:
        metafunc.parametrize("killed", OPTIMIZERS if whole else KILLED)
    if "program" in metafunc.fixturenames:
        cells = CELLS if whole else SAMPLE
        metafunc.parametrize(("program", "optimizer"), cells, ids=[" | ".join(cell) for cell in cells])


@pytest.fixture
def knowing() -> Iterator[ScriptedServer]:
    with ScriptedServer(model=KnowingModel()) as running:
        running.keep_requests = True
        yield running


@pytest.fixture(scope="session")
def rebuilder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rebuilder]:
    with Rebuilder(tmp_path_factory.mktemp("cache")) as made:
        yield made


def test_every_program_by_every_optimizer(
    program: str, optimizer: str, forge: OptimizerForge, knowing: ScriptedServer, rebuilder: Rebuilder, tmp_path: Path
) -> None:
    shape = SHAPES[program]
    assert isinstance(knowing.model, KnowingModel)
    beside = {"optimizer": OPTIMIZERS[optimizer], "modelConfigs": models_beside(knowing.url)}
    spec = program_spec(knowing.url, shape.spec(), **beside)
    folders = make_folders(tmp_path / "job", spec, shape.rows(knowing.model))

    result = forge.run(folders)

    if (program, optimizer) in REFUSED:
        reason, said = REFUSED[program, optimizer]
        assert (result["outcome"], result["reason"]) == ("Failed", reason), result["message"]
        assert said in result["message"]
        return
    assert result["outcome"] == "Succeeded", result["message"]
    assert 0 <= result["baselineScore"] <= result["optimizedScore"] <= 100
    assert result["optimizedScore"] > 0 or program in NEVER_RIGHT
    asked = {json.dumps(sent(call)) for call in knowing.requests}
    knowing.requests.clear()
    rebuilder.run(downloaded(folders), knowing.url, rows_of(folders.out / "artifact" / "rows.jsonl"))
    again = [json.dumps(sent(call)) for call in knowing.requests if sent(call)]
    assert again
    assert [prompt for prompt in again if prompt not in asked] == [], "what the job did not send"


def test_a_killed_job_of_several_predictors_goes_on(
    killed: str, forge: OptimizerForge, knowing: ScriptedServer, tmp_path: Path
) -> None:
    shape = SHAPES["a list of steps"]
    assert isinstance(knowing.model, KnowingModel)
    beside = {"optimizer": OPTIMIZERS[killed], "modelConfigs": models_beside(knowing.url)}
    spec = program_spec(knowing.url, shape.spec(), **beside)
    folders = make_folders(tmp_path / "job", spec, shape.rows(knowing.model))
    knowing.hold_from(LATER)
    process = forge.start(folders)
    wait_for(lambda: knowing.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    knowing.reset()

    result = forge.run(next_attempt(folders, tmp_path / "second"))

    assert result["outcome"] == "Succeeded", result["message"]
    assert 0 < result["baselineScore"] <= result["optimizedScore"]
    assert result["usage"]["cachedCalls"] >= LATER - 20, "but for the calls that were in flight"


def sent(call: dict[str, Any]) -> Any:
    return call["request"].get("messages")


def rows_of(rows: Path) -> list[dict[str, Any]]:
    lines = rows.read_text().splitlines()[:RUN_AGAIN]
    return [json.loads(line)["inputs"] for line in lines]


def test_the_sample_has_every_program_and_every_optimizer() -> None:
    assert {program for program, _ in SAMPLE} == set(SHAPES)
    assert {optimizer for _, optimizer in SAMPLE} == set(OPTIMIZERS)
