"""Ends from outside: SIGTERM leaves nothing, KeepBest keeps the best, a kill costs only the calls in flight."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import ScriptedServer
from waiting import wait_for

SLOW = 0.02
SEARCHES: list[tuple[str, dict[str, Any]]] = [
    ("miprov2", {"auto": "light"}),
    ("gepa", {"max_metric_calls": 400}),
    ("simba", {"bsize": 8, "num_candidates": 3, "max_steps": 6}),
    ("dspy.COPRO", {"breadth": 4, "depth": 4}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 12}),
]
IDS = [name for name, _ in SEARCHES]
ENDLESS: dict[str, dict[str, Any]] = {
    "miprov2": {"auto": "heavy"},
    "gepa": {"max_metric_calls": 4000},
    "simba": {"max_steps": 60},
    "dspy.COPRO": {"depth": 40},
    "dspy.BootstrapRS": {"num_candidate_programs": 120},
}
"""For searches that are stopped: none ends by itself before."""


def job(server: ScriptedServer, root: Path, name: str, kwargs: dict[str, Any], **changes: Any) -> Folders:
    return make_folders(root, make_spec(server.url, optimizer={"name": name, "kwargs": kwargs}, **changes))


def has_best(folders: Folders) -> bool:
    return (folders.out / "checkpoint" / "best.json").exists()


@pytest.mark.parametrize(("name", "kwargs"), SEARCHES, ids=IDS)
def test_keep_best_ends_with_the_best_so_far(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = SLOW
    folders = job(server, tmp_path / "job", name, kwargs | ENDLESS[name])
    process = forge.start(folders)
    wait_for(lambda: has_best(folders), what="a scored candidate")

    (folders.inputs / "stop").write_text("KeepBest")

    assert process.wait() == 0
    result = folders.result()
    assert (result["outcome"], result["reason"], result["stoppedEarly"]) == ("Succeeded", "StoppedEarly", True)
    assert result["details"]["stopped_early"] is True
    assert result["optimizedScore"] is not None
    best = json.loads((folders.out / "checkpoint" / "best.json").read_text())
    assert best["score"] == result["details"]["best_so_far"][-1][1]
    saved = json.loads((folders.out / "artifact" / "program.json").read_text())
    saved.pop("metadata")
    assert saved == best["state"]
    assert folders.events("optimizer_progress")[-1]["metrics"]["tqdm_percent"] == 100.0


def test_keep_best_does_not_wait_for_a_slow_call(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = job(server, tmp_path / "job", "dspy.BootstrapFewShot", {})
    server.fail_from(15, "hang")
    process = forge.start(folders)
    wait_for(lambda: server.stats.failed > 0, what="a call that hangs")

    (folders.inputs / "stop").write_text("KeepBest")

    assert process.wait(timeout=10) == 0
    assert folders.result()["outcome"] == "Cancelled"


def test_keep_best_with_nothing_to_keep_is_cancelled(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = SLOW
    folders = job(server, tmp_path / "job", "dspy.BootstrapFewShot", {})
    (folders.inputs / "stop").write_text("KeepBest")

    result = forge.run(folders)

    assert (result["outcome"], result["reason"], result["stoppedEarly"]) == ("Cancelled", "Stopped", False)
    assert not (folders.out / "artifact").exists()


@pytest.mark.parametrize("at", ["waiting", "running", "user code"])
def test_sigterm_ends_at_once_without_a_result(
    at: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = SLOW
    stuck = "import ctypes\ndef metric(g, p):\n    print('stuck')\n    ctypes.CDLL(None).sleep(100)\n"
    changes = {"metric": {"code": stuck}} if at == "user code" else {}
    spec = make_spec(server.url, optimizer={"name": "miprov2", "kwargs": {"auto": "heavy"}}, **changes)
    folders = make_folders(tmp_path / "job", spec, ready=at != "waiting")
    process = forge.start(folders)
    if at == "running":
        wait_for(lambda: folders.events("baseline_evaluated"), what="the optimizer")
    elif at == "user code":
        wait_for(lambda: "stuck" in folders.messages("stdout"), what="C code in the main thread")
    else:
        wait_for(lambda: (folders.out / "logs.jsonl").exists(), what="the process")
        time.sleep(0.05)

    process.send(signal.SIGTERM)

    assert process.wait(timeout=10) == 143
    assert not (folders.out / "result.json").exists()


def answers(folders: Folders) -> set[str]:
    """Keys of the answers in the journal."""
    return {line["key"] for line in folders.lines("calls.jsonl") if "key" in line}


@pytest.mark.parametrize(("name", "kwargs"), SEARCHES, ids=IDS)
def test_a_killed_run_goes_on_without_paying_again(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency, server.keep_requests = 0.005, True
    folders = job(server, tmp_path / "first", name, kwargs, run={"threads": 8})
    server.hold_from(62)
    process = forge.start(folders)
    wait_for(lambda: server.stats.calls > 60, what="some calls")
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    paid = len(answers(folders))
    in_flight = 8 + (server.stats.by_kind["propose"] if name == "dspy.COPRO" else 0)  # its candidates are one call
    assert paid >= server.stats.calls - in_flight, "more than the calls in flight were lost"
    with (folders.out / "calls.jsonl").open("ab") as journal:
        journal.write(b'{"key":"cut in t')

    server.release()
    wait_for(lambda: server.stats.in_flight == 0, what="the killed run's calls to end")
    first_asked = server.stats.calls
    server.reset()
    second = next_attempt(folders, tmp_path / "second")
    result = forge.run(second)

    assert result["outcome"] == "Succeeded"
    asked = first_asked + server.stats.calls
    assert result["usage"]["calls"] <= asked <= result["usage"]["calls"] + result["usage"]["callsUnknown"]
    asked_first = answers(folders)
    asked_again = answers(second)
    assert not asked_first & asked_again


def test_an_earlier_attempt_s_best_is_kept_too(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    server.latency = 0.005
    first = job(server, tmp_path / "first", "dspy.BootstrapRS", {"num_candidate_programs": 12})
    process = forge.start(first)
    wait_for(lambda: has_best(first), what="a scored candidate")
    process.send(signal.SIGKILL)
    process.wait()
    best = json.loads((first.out / "checkpoint" / "best.json").read_text())
    second = next_attempt(first, tmp_path / "second")
    (second.inputs / "stop").write_text("KeepBest")

    result = forge.run(second)

    assert (result["outcome"], result["stoppedEarly"]) == ("Succeeded", True)
    assert f"it scored {best['score']}" in result["message"]
    assert result["baselineScore"] is not None
    assert second.progress()["startedAt"] is not None


@pytest.mark.parametrize(("name", "kwargs"), [*SEARCHES[:1], *SEARCHES[2:]], ids=[IDS[0], *IDS[2:]])
def test_a_finished_journal_replays_for_nothing(
    name: str, kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    one_thread = {} if name == "dspy.COPRO" else {"num_threads": 1}
    first_folders = job(server, tmp_path / "first", name, kwargs | one_thread)
    first = forge.run(first_folders)
    server.reset()

    second = forge.run(next_attempt(first_folders, tmp_path / "second"))

    assert server.stats.calls == 0
    assert second["usage"]["calls"] == first["usage"]["calls"]
    assert second["usage"]["cachedCalls"] > 0
    assert second["optimizedScore"] == first["optimizedScore"]


def test_gepa_survives_a_state_that_was_cut(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    first = job(server, tmp_path / "first", "gepa", {"max_metric_calls": 60})
    forge.run(first)
    state = first.out / "checkpoint" / "gepa_state.bin"
    state.write_bytes(state.read_bytes()[:100])

    second = next_attempt(first, tmp_path / "second")

    assert forge.run(second)["outcome"] == "Succeeded"
    assert any("starts anew" in message for message in second.messages("dspy_service.checkpoint"))
