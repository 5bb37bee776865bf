"""What the document says of a run, and how soon."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.progress.candidates import Candidate
from dspy_service_runner.optimizer.progress.progress import Progress
from waiting import wait_for

EVENT_INTERVAL = 3600.0


class Told:
    """A run's progress, and what its files say of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.now = 0.0
        self.progress = Progress(Outbox(folder), Usage, EVENT_INTERVAL, lambda: self.now)
        self.progress.write()

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads((self._folder / "progress.json").read_text()))

    @property
    def figures(self) -> dict[str, Any]:
        return dict(self.document["figures"])

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line)["metrics"] for line in (self._folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_last_of_several_calls_is_told_although_no_event_is_due(told: Told) -> None:
    told.progress.keep_written(0.001)
    told.progress.begin_optimizer("MIPROv2", 10, counts_demos=True)
    for calls in range(1, 8):
        told.now += 1
        told.progress.called(for_demo=False)
        wait_for(lambda calls=calls: told.figures.get("tqdm_n") == calls, what=f"call {calls} in the document")
    assert told.events == []
    assert told.figures["tqdm_elapsed"] == 7
    assert told.figures["tqdm_percent"] == told.document["percent"] == 70.0


def test_calls_of_the_baseline_are_told_too(told: Told) -> None:
    told.progress.keep_written(0.001)
    told.progress.called_around(False)
    wait_for(lambda: told.document["calls"] == 1, what="the call in the document")
    assert told.figures == {}


def test_the_figures_stay_as_the_last_event_had_them(told: Told) -> None:
    told.progress.expect_around(4)
    told.progress.begin_optimizer("MIPROv2", 10, counts_demos=True)
    told.now = 5.0
    told.progress.called(for_demo=False)
    told.progress.end_optimizer()
    told.now = 60.0
    told.progress.called_around(False)
    told.progress.write()
    assert told.figures == told.events[-1]
    assert told.figures["tqdm_elapsed"] == 5.0
    assert told.document["calls"] == 2


@pytest.mark.parametrize("rows", ["validation", "training"])
def test_the_best_so_far_comes_with_its_rows_and_its_call(told: Told, rows: Any) -> None:
    told.progress.write()
    assert told.document["bestScoreOn"] is None
    told.progress.scores_on = rows
    told.progress.improved(Candidate(score=66.67, rows=6, calls=31, state={}))
    told.progress.write()
    found = {name: value for name, value in told.document.items() if name.startswith("best")}
    assert found == {"bestScore": 66.67, "bestScoreOn": rows, "bestScoreRows": 6, "bestScoreAtCall": 31}
