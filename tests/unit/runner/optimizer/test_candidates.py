"""The programs that a search tries are told of, by every optimizer, once each, through kills; GEPA's are gepa's own."""

import shutil
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from gepa import GEPAResult
from gepa.core.state import GEPAState

from every_optimizer import OPTIMIZERS, models_beside
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt, program_spec
from scripted_lm import ScriptedServer
from waiting import wait_for

Line = Mapping[str, Any]
PAIR = """
import dspy

class Pair(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = dspy.Predict("text -> label"), dspy.Predict("text -> label")

    def forward(self, text: str):
        self.first(text=f"Read this: {text}")
        return self.second(text=text)
"""
METRIC = "def metric(gold, pred, trace=None):\n    return gold.label == pred.label\n"
COLUMNS = {"inputs": {"text": "text"}, "outputs": {"label": "label"}}
GEPA = {"name": "gepa", "kwargs": {"max_metric_calls": 120}}
CALLS = {"LabeledFewShot": 17, "BootstrapFewShot": 17, "InferRules": 25}
"""Of those that make few, so many that the search has begun."""
SCORES_NONE = {"LabeledFewShot", "BootstrapFewShot"}
TELLS_NOTHING = {"KNNFewShot"}
"""What it does is in no state, and it scores nothing."""


def of_all_attempts(folders: Folders) -> list[Line]:
    earlier = folders.inputs / "candidates.jsonl"
    lines = earlier.read_bytes().splitlines() if earlier.exists() else []
    return [*map(orjson.loads, lines), *folders.lines("candidates.jsonl")]


def sort_of(line: Line) -> tuple[bytes, int]:
    return orjson.dumps(line["changes"], option=orjson.OPT_SORT_KEYS), line["rows"]


def sorts(lines: Iterable[Line]) -> Counter[tuple[bytes, int]]:
    return Counter(map(sort_of, lines))


def killed_half_way(forge: OptimizerForge, server: ScriptedServer, folders: Folders, calls: int) -> None:
    server.hold_from(calls)
    process = forge.start(folders)
    wait_for(lambda: server.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    server.reset()


def pair_job(server: ScriptedServer, root: Path) -> Folders:
    sent = {"program": {"code": PAIR}, "metric": {"code": METRIC}, "columns": COLUMNS}
    return make_folders(root, program_spec(server.url, sent, optimizer=GEPA))


def gepas_own(folders: Folders) -> "GEPAResult[Any, Any]":
    """What `detailed_results` is made of: gepa's state at the end."""
    run = folders.out / "checkpoint"
    return GEPAResult.from_state(GEPAState.load(str(run)), run_dir=str(run), seed=0)


def prompts(folders: Folders, name: str) -> Line:
    state = orjson.loads((folders.out / "artifact" / name).read_bytes())
    return {"instructions": state["signature"]["instructions"], "demos": state["demos"]}


def changed(given: Line, line: Line) -> Line:
    change = line["changes"].get("self") or {}
    return {part: given[part] if change.get(part) is None else change[part] for part in given}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_tells_what_it_tries(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    spec = make_spec(server.url, optimizer=OPTIMIZERS[name], modelConfigs=models_beside(server.url))
    folders = make_folders(tmp_path / "job", spec)

    result = forge.run(folders)

    told = folders.lines("candidates.jsonl")
    assert result["details"]["candidates_count"] == len(told)
    if name in TELLS_NOTHING:
        assert told == []
        return
    given, kept = prompts(folders, "baseline.json"), prompts(folders, "program.json")
    assert kept in [changed(given, line) for line in told], "the program that was kept is one of them"
    for number, line in enumerate(told, 1):
        assert set(line) == {"parents", "at_call", "score", "rows", "accepted", "changes"}
        assert set(line["changes"]) <= {"self"}
        assert all(0 < parent < number for parent in line["parents"])
    if name in SCORES_NONE:
        assert [(line["score"], line["rows"], line["accepted"]) for line in told] == [(None, 0, True)]
        return
    assert all(0 <= line["score"] <= 100 and line["rows"] > 0 for line in told)
    assert [line["at_call"] for line in told if not line["parents"]] == sorted(
        line["at_call"] for line in told if not line["parents"]
    )
    assert len(told) >= len(result["details"]["candidate_scores"]) > 1


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in {*TELLS_NOTHING, "GEPA"}])
def test_a_kill_loses_none_and_doubles_none(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """What was told of before and after it is what one run tells that gets all the same answers, from the journal."""
    spec = make_spec(server.url, optimizer=OPTIMIZERS[name], modelConfigs=models_beside(server.url))
    first = make_folders(tmp_path / "first", spec)
    killed_half_way(forge, server, first, CALLS.get(name, 45))
    before = first.lines("candidates.jsonl")

    second = next_attempt(first, tmp_path / "second")
    result = forge.run(second)

    told = of_all_attempts(second)
    assert told[: len(before)] == before
    assert result["details"]["candidates_count"] == len(told)
    again = next_attempt(second, tmp_path / "again")
    (again.inputs / "candidates.jsonl").unlink()
    shutil.rmtree(again.inputs / "checkpoint")
    forge.run(again)
    assert sorts(told) == sorts(again.lines("candidates.jsonl"))


def check_gepas_own(told: list[Line], own: "GEPAResult[Any, Any]", given: Mapping[str, str]) -> list[int]:
    """Returns the number of each of gepa's own candidates."""
    numbers: list[int] = []
    for index, texts in enumerate(own.candidates):
        changed = {name: text for name, text in texts.items() if text != given[name]}
        parents = [numbers[parent] for parent in own.parents[index] if parent is not None]
        wanted = {
            "parents": parents,
            "at_call": own.discovery_eval_counts[index],
            "score": round(100 * own.val_aggregate_scores[index], 2),
            "rows": len(own.val_subscores[index]),
            "accepted": True,
            "changes": {name: {"instructions": text, "demos": None} for name, text in changed.items()},
        }
        found = [number for number, line in enumerate(told, 1) if line == wanted and number not in numbers]
        assert found, f"gepa's candidate {index} is not told of"
        numbers.append(found[0])
    return numbers


def test_those_of_gepa_are_its_detailed_results(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = pair_job(server, tmp_path / "job")

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded", result["message"]
    told, own = folders.lines("candidates.jsonl"), gepas_own(folders)
    numbers = check_gepas_own(told, own, own.candidates[0])
    assert len(numbers) > 2, "there is something to compare"
    assert [number for number, line in enumerate(told, 1) if line["accepted"]] == numbers
    rejected = [line for line in told if not line["accepted"]]
    assert rejected, "what was rejected is told of too"
    for line in rejected:
        assert (line["rows"], len(line["parents"])) == (3, 1)
        assert line["changes"].keys() <= {"first", "second"}
    assert [score for _, score in result["details"]["candidate_scores"]] == [told[n - 1]["score"] for n in numbers]


@pytest.mark.parametrize("calls", [50, 80, 110])
def test_a_resumed_gepa_tells_of_all(calls: int, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    first = pair_job(server, tmp_path / "first")
    killed_half_way(forge, server, first, calls)
    before = first.lines("candidates.jsonl")

    second = next_attempt(first, tmp_path / "second")
    result = forge.run(second)

    assert result["outcome"] == "Succeeded", result["message"]
    told, own = of_all_attempts(second), gepas_own(second)
    assert told[: len(before)] == before
    numbers = check_gepas_own(told, own, own.candidates[0])
    unknown = [n for n, line in enumerate(told, 1) if line["accepted"] and n not in numbers]
    assert len(unknown) <= 1, "gepa has lost what it was about when it was killed, and nothing else is told twice"
    assert result["details"]["candidates_count"] == len(told)
    assert len(result["details"]["candidate_scores"]) == len(numbers), "those of earlier attempts too"
