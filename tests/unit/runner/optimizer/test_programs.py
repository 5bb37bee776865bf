"""Programs of every shape, each in a process of its own: what runs comes to a true result, and what cannot is refused
with the cause and the cure before money is spent."""

import errno
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.programs.program_files import lay_out
from dspy_service_runner.optimizer.user_code.source import explained
from knowing_model import KnowingModel
from optimizer_job import Folders, OptimizerForge, make_folders, next_attempt, program_spec
from programs import ONE, OPTIMIZED, REFUSED, ROWS, UNRULY, Shape
from scripted_lm import ScriptedServer
from waiting import wait_for

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


@pytest.mark.parametrize("shape", [*OPTIMIZED, *UNRULY], ids=lambda shape: shape.name)
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


def test_a_killed_program_goes_on_without_paying_again(
    forge: OptimizerForge, knowing: ScriptedServer, model: KnowingModel, tmp_path: Path
) -> None:
    shape = next(shape for shape in OPTIMIZED if shape.name == "retrieval over a file of its own")
    optimizer = {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 3}}
    whole = forge.run(sent(shape, knowing, model, tmp_path / "whole", optimizer=optimizer))
    asked = knowing.stats.calls
    knowing.reset()
    knowing.hold_from(asked // 2)
    first = sent(shape, knowing, model, tmp_path / "first", optimizer=optimizer)
    process = forge.start(first)
    wait_for(lambda: knowing.stats.calls + knowing.stats.in_flight >= asked // 2, what="half of its calls")
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    knowing.release()
    wait_for(lambda: knowing.stats.in_flight == 0, what="the killed run's calls to end")
    paid = knowing.stats.calls

    second = forge.run(next_attempt(first, tmp_path / "second"))

    assert (second["outcome"], second["optimizedScore"]) == ("Succeeded", whole["optimizedScore"])
    assert second["usage"]["cachedCalls"] > 0
    assert knowing.stats.calls - paid < asked, "what was answered before the kill is not asked again"


def test_what_the_code_configures_has_no_say_in_the_jobs_model(
    forge: OptimizerForge, knowing: ScriptedServer, model: KnowingModel, tmp_path: Path
) -> None:
    shape = next(shape for shape in UNRULY if shape.name == "configures dspy as it is imported")
    folders = sent(shape, knowing, model, tmp_path / "job")
    assert forge.run(folders)["outcome"] == "Succeeded"
    assert any("default model is used in its place" in said for said in folders.messages())


def test_nobody_writes_into_the_programs_folder(tmp_path: Path) -> None:
    folder = tmp_path / "user_program"
    lay_out(folder, {"user_program.py": "", "data/terms.csv": "a,b"})
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {
        "user_program": 0o555,
        "user_program/user_program.py": 0o444,
        "user_program/data": 0o555,
        "user_program/data/terms.csv": 0o444,
    }
    refused = PermissionError(errno.EACCES, "Permission denied", str(folder / "data/out.csv"))
    assert "The program's folder is read-only: write below" in explained(refused)


def test_a_warning_names_what_no_optimizer_sees(
    forge: OptimizerForge, knowing: ScriptedServer, model: KnowingModel, tmp_path: Path
) -> None:
    code = ONE.replace(
        "return self.answer(question=question)",
        "hint = self.answer(question=question).answer\n"
        "        return dspy.Predict('question, hint -> answer')(question=question, hint=hint)",
    )
    folders = sent(Shape("partly made anew", code), knowing, model, tmp_path / "job")
    forge.run(folders)
    assert any("predictors that forward makes anew" in said for said in folders.messages())
