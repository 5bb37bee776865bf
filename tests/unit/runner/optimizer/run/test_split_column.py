"""Rows that say themselves where they belong: nothing else has a say, and nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.values.columns import check_split_column
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer

BY_PART = {"train": "0.5", "val": "0.25", "test": "0.25", "shuffle": True, "seed": 7, "column": "part"}
SHOW_PART = """
def metric(gold, pred, trace=None):
    print(f"part {gold.part}")
    return gold.label == pred.label
"""


def rows(*words: Any) -> list[dict[str, Any]]:
    return [{**TICKETS[n % len(TICKETS)], "part": word} for n, word in enumerate(words)]


def folders_of(tmp_path: Path, url: str, given: list[dict[str, Any]], **changes: Any) -> Folders:
    wanted = {"split": BY_PART, "optimizer": {"name": "dspy.LabeledFewShot", "kwargs": {"k": 2}}}
    return make_folders(tmp_path / "job", make_spec(url, **wanted | changes), given)


def numbers_of(folders: Folders) -> list[int]:
    lines = (folders.out / "artifact" / "rows.jsonl").read_text().splitlines()
    return [json.loads(line)["n"] for line in lines]


def test_each_row_is_where_it_says(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    words = ["test", "train", "dev", "train", "test", "val", "validation", "test"]
    folders = folders_of(tmp_path, server.url, rows(*words))
    result = forge.run(folders)
    assert result["splitCounts"] == {"train": 2, "val": 3, "test": 3}
    assert numbers_of(folders) == [0, 4, 7]


def test_gold_holds_the_column_and_prompts_do_not(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    given = rows(*["train"] * 4, *["test"] * 4)
    folders = folders_of(tmp_path, server.url, given, metric={"code": SHOW_PART})
    forge.run(folders)
    assert {"part train", "part test"} <= set(folders.messages())
    state = json.loads((folders.out / "artifact" / "program.json").read_text())
    assert state["demos"]
    assert all("part" not in demo for demo in state["demos"])


def test_a_score_is_measured_on_the_rows_that_say_test(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = folders_of(tmp_path, server.url, rows("train", "test", "val", "test"), optimizer={"name": "evaluate"})
    result = forge.run(folders)
    assert (result["splitCounts"], numbers_of(folders)) == ({"train": 1, "val": 1, "test": 2}, [1, 3])
    assert result["details"]["unused_rows"] == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows("train", "test", "holdout"), "dataset[2] says 'holdout' in column 'part', by which the rows are split: "),
        (rows("train", "", "test"), "dataset[1] says nothing in column 'part'"),
        (TICKETS[:4], "dataset[0] lacks column 'part', in which each row says where it belongs: write train, val "),
        (rows("train", "train"), "The test split of 2 rows is empty: let at least 1 row say test in column 'part'."),
        (rows("test", "dev"), "The training split is empty: let at least 1 row say train in column 'part'."),
    ],
)
def test_what_a_submit_could_not_see_ends_the_job_before_money_is_spent(
    given: list[dict[str, Any]], message: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(folders_of(tmp_path, server.url, given))
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidSplit")
    assert result["message"].startswith(message)
    assert server.stats.calls == 0


def test_no_input_is_filled_from_the_column_that_splits() -> None:
    """As happens where a program's parameter has its name."""
    columns = Columns(inputs={"text": "text", "part": "part"}, outputs={"label": "label"})
    check_split_column(columns, "")
    check_split_column(columns, "label")
    with pytest.raises(JobFailed, match=r"^The input 'part' is filled from column 'part', by which the rows are split"):
        check_split_column(columns, "part")
