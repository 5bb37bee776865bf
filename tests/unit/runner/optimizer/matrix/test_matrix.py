"""Every optimizer in every situation: a score that is so, or a failure with its cause first.

`make matrix` runs all of it and prints the table; otherwise a fixed sample is run, in which every optimizer and every
situation is several times. Optimizers that are refused at submit, with the reason, are in tests/unit/core/checks.
"""

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from every_optimizer import OPTIMIZERS, models_beside
from knowing_model import KnowingModel
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import ScriptedServer
from waiting import wait_for

pytestmark = pytest.mark.timeout(180)

LATER = 17
"""Calls until things change: after the preflight (a few) and the baseline (ten rows), before the last scores, also of
an optimizer that makes no call of its own."""
ROWS = 40
TEXT = """
class Note(dspy.Signature):
    \"\"\"Answer the note.\"\"\"

    note: str = dspy.InputField()
    reply: str = dspy.OutputField()
"""
TYPED = """
import datetime, enum
class Team(enum.IntEnum):
    RED = 1
    BLUE = 2
class Note(dspy.Signature):
    \"\"\"Answer the note.\"\"\"

    note: str = dspy.InputField()
    team: Team = dspy.OutputField()
    days: list[datetime.date] = dspy.OutputField()
"""
EQUAL = "def metric(gold, pred, trace=None):\n    return gold.reply == pred.reply\n"
TYPED_EQUAL = "def metric(gold, pred, trace=None):\n    return gold.team is pred.team and gold.days == pred.days\n"
JUDGED = """
judge = dspy.Predict("expected, candidate -> agree: bool")
def metric(gold, pred, trace=None):
    return judge(expected=gold.reply, candidate=pred.reply).agree and gold.reply == pred.reply
"""
CHANGING = f"""
import itertools
calls = itertools.count()
def metric(gold, pred, trace=None):
    if next(calls) >= {LATER}:
        SPOILT
    return gold.reply == pred.reply
"""

Situation = Callable[[OptimizerForge, ScriptedServer, Folders], None]


def succeeds(forge: OptimizerForge, _server: ScriptedServer, folders: Folders) -> None:
    whole(forge.run(folders), folders)


def whole(result: Mapping[str, Any], folders: Folders) -> None:
    """The model is right for every demonstrated prompt: no optimizer makes it worse."""
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["splitCounts"] == {"train": 20, "val": 10, "test": 10}
    assert 0 < result["baselineScore"] <= result["optimizedScore"] <= 100
    assert result["details"]["metric_errors"] == 0
    assert json.loads((folders.out / "artifact" / "program.json").read_text())


def fails(reason: str, said: str) -> Situation:
    def check(forge: OptimizerForge, _server: ScriptedServer, folders: Folders) -> None:
        result = forge.run(folders)
        assert (result["outcome"], result["reason"]) == ("Failed", reason), result["message"]
        assert re.search(said, result["message"].splitlines()[0]), result["message"]

    return check


def dies_half_way(forge: OptimizerForge, server: ScriptedServer, folders: Folders) -> None:
    server.fail_from(LATER, "401")
    fails("ModelAuthFailed", "injected 401")(forge, server, folders)


def is_limited_now_and_then(forge: OptimizerForge, server: ScriptedServer, folders: Folders) -> None:
    server.fail_every(3, "429")
    result = forge.run(folders)
    whole(result, folders)
    assert result["details"]["model_errors"] == 0


def is_killed_and_goes_on(forge: OptimizerForge, server: ScriptedServer, folders: Folders) -> None:
    server.hold_from(LATER)
    process = forge.start(folders)
    wait_for(lambda: server.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    server.reset()
    again = next_attempt(folders, folders.root.parent / "second")
    result = forge.run(again)
    whole(result, again)
    assert result["usage"]["cachedCalls"] > 0


SITUATIONS: dict[str, tuple[dict[str, Any], Situation]] = {
    "success": ({}, succeeds),
    "a dead model": ({"fault": "401"}, fails("ModelAuthFailed", "injected 401")),
    "a model that dies half-way": ({}, dies_half_way),
    "a metric that raises": (
        {"metric": {"code": "def metric(gold, pred, trace=None):\n    return gold.nothing\n"}},
        fails("MetricFailed", "metric raised AttributeError.*nothing"),
    ),
    "a metric that starts raising": (
        {"metric": {"code": CHANGING.replace("SPOILT", "raise KeyError('gone')")}},
        fails("MetricFailed", "metric raised KeyError.*gone"),
    ),
    "a metric that returns None": (
        {"metric": {"code": "def metric(gold, pred, trace=None):\n    gold.reply == pred.reply\n"}},
        fails("MetricFailed", "returned None"),
    ),
    "a metric that starts returning None": (
        {"metric": {"code": CHANGING.replace("SPOILT", "return None")}},
        fails("MetricFailed", "returned None"),
    ),
    "a metric that returns text": (
        {"metric": {"code": "def metric(gold, pred, trace=None):\n    return 'good'\n"}},
        fails("MetricFailed", "returned a str"),
    ),
    "a metric that returns NaN": (
        {"metric": {"code": "def metric(gold, pred, trace=None):\n    return float('nan')\n"}},
        fails("MetricFailed", "finite"),
    ),
    "a metric that starts returning NaN": (
        {"metric": {"code": CHANGING.replace("SPOILT", "return float('inf')")}},
        fails("MetricFailed", "finite"),
    ),
    "429 now and then": ({}, is_limited_now_and_then),
    "kill -9 and resume": ({}, is_killed_and_goes_on),
    "typed values": (
        {
            "signature": {"code": TYPED},
            "metric": {"code": TYPED_EQUAL},
            "columns": {"inputs": {"note": "note"}, "outputs": {"team": "team", "days": "days"}},
        },
        succeeds,
    ),
    "a judge": ({"metric": {"code": JUDGED}}, succeeds),
}
CELLS = [(optimizer, situation) for optimizer in OPTIMIZERS for situation in SITUATIONS]
SAMPLE = [cell for number, cell in enumerate(CELLS) if number % 5 == 2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        cells = CELLS if metafunc.config.getoption("--matrix") else SAMPLE
        metafunc.parametrize("cell", cells, ids=[" | ".join(cell) for cell in cells])


@pytest.fixture
def knowing() -> Iterator[ScriptedServer]:
    with ScriptedServer(model=KnowingModel()) as running:
        yield running


def rows_of(model: KnowingModel) -> list[dict[str, Any]]:
    """Typed values as a file has them: the number as text."""
    made = []
    for number in range(ROWS):
        right = {"reply": f"right {number}", "team": 1, "days": ["2025-01-02"]}
        note = model.know(f"note {number}", right, {"reply": "wrong", "team": 2, "days": []})
        made.append({"note": note, **right, "team": "1"})
    return made


def test_every_cell(cell: tuple[str, str], forge: OptimizerForge, knowing: ScriptedServer, tmp_path: Path) -> None:
    optimizer, situation = cell
    changes, check = SITUATIONS[situation]
    assert isinstance(knowing.model, KnowingModel)
    url = knowing.url_of(changes["fault"]) if "fault" in changes else knowing.url
    base = {
        "signature": {"code": TEXT},
        "metric": {"code": EQUAL},
        "columns": {"inputs": {"note": "note"}, "outputs": {"reply": "reply"}},
        "optimizer": OPTIMIZERS[optimizer],
        "modelConfigs": models_beside(url),
    }
    spec = make_spec(url, **base | {name: value for name, value in changes.items() if name != "fault"})
    check(forge, knowing, make_folders(tmp_path / "job", spec, rows_of(knowing.model)))


def test_the_sample_has_every_optimizer_and_every_situation() -> None:
    assert {optimizer for optimizer, _ in SAMPLE} == set(OPTIMIZERS)
    assert {situation for _, situation in SAMPLE} == set(SITUATIONS)
