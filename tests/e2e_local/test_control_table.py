"""Every verb of control, by every way to give it, in every state of a job: what comes of it, and how many model calls
begin after it. The table of the cells that were run is printed at the end (`conftest.py`).

The service runs one job at a time, so that a second one waits. How long a job takes to hear of a verb depends on the
machine: `bench/sections/control.py` measures it.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import pytest

from control_channels import CHANNELS, VERBS, Channel, Channels, Verb
from controlled_jobs import END, LATENCY, State, asked, at_rest, begun, paused
from kubectl import Kubectl
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ENDED, ended, job, reached, submit
from whole_service import Service, service

pytestmark = pytest.mark.e2e

CELLS = [
    pytest.param(
        *(verb, channel, state),
        id=f"{verb} | {channel} | {state}",
        marks=pytest.mark.skipif(channel == "kubectl" and not shutil.which("kubectl"), reason="no kubectl here"),
    )
    for state in get_args(State)
    for verb in VERBS
    for channel in CHANNELS
]
SILENT = {"queued", "paused", "ended"}
"""In these states a job asks no model."""
ASKING = {"running", "success"}
"""What a verb may lead to by more model calls: a search that goes on, a best program that is scored."""


@pytest.fixture(scope="module")
def alone() -> Iterator[Service]:
    with service("--concurrency", "1") as running:
        yield running


@pytest.fixture
def slow(alone: Service, model: ScriptedServer) -> Iterator[ScriptedServer]:
    model.reset()
    model.latency = LATENCY
    yield model
    for summary in alone.http.get("/jobs?limit=500").json()["jobs"]:
        if summary["status"] not in ENDED:
            alone.http.post(f"/jobs/{summary['job_id']}/cancel")
            ended(alone.http, summary["job_id"])
    model.latency = 0.0
    model.release()
    at_rest(model)


@pytest.fixture
def channels(alone: Service, tmp_path_factory: pytest.TempPathFactory) -> Channels:
    return Channels(alone, Kubectl(alone.kubeconfig, alone.namespace, tmp_path_factory.mktemp("home")))


def validating(alone: Service, model: ScriptedServer) -> str:
    """A job whose first model call is not answered."""
    model.hold_from(1)
    job_id = submit(alone.http, payload(30, model.url))
    wait_for(lambda: model.stats.in_flight > 0, timeout=120, what="a call of the preflight")
    assert reached(alone.http, job_id, {"validating"})["status"] == "validating"
    return job_id


def queued(alone: Service, model: ScriptedServer) -> str:
    validating(alone, model)
    job_id = submit(alone.http, payload(30, model.url))
    wait_for(lambda: "queue" in _message(alone, job_id), timeout=60, what="a place in the queue")
    return job_id


def finished(alone: Service, model: ScriptedServer) -> str:
    model.latency = 0.0
    job_id = submit(alone.http, payload(30, model.url))
    assert ended(alone.http, job_id)["status"] == "success"
    return job_id


MADE: Mapping[State, Callable[[Service, ScriptedServer], str]] = {
    "queued": queued,
    "validating": validating,
    "running": begun,
    "paused": paused,
    "ended": finished,
}


@pytest.mark.parametrize(("verb", "channel", "state"), CELLS)
def test_every_cell(
    verb: Verb,
    channel: Channel,
    state: State,
    alone: Service,
    slow: ScriptedServer,
    channels: Channels,
    record_property: Any,
) -> None:
    job_id = MADE[state](alone, slow)
    before, status = asked(slow), _status(alone, job_id)

    taken = channels.give(verb, job_id, channel)

    assert taken == (state != "ended" or channel == "kubectl")
    end = END.get((verb, state), "as before")
    _await(end, alone, slow, job_id, status)
    after = asked(slow)
    record_property("cell", [verb, channel, state, end if taken else "refused", after - before])
    if state in SILENT and end not in ASKING:
        assert after == before, "it asked no model before, and may not begin to"
    assert channels.give(verb, job_id, channel) == taken, "a verb may be repeated"
    if end in ("cancelled", "held"):
        assert asked(slow) == after, "a job at rest asks nobody"


def _await(end: str, alone: Service, model: ScriptedServer, job_id: str, status: str) -> None:
    """Waits for what the verb is to lead to. Where nothing is to change, that is seen by the job's next model call, if
    it makes any."""
    so_far = asked(model)
    match end:
        case "held":
            wait_for(lambda: "Held" in _message(alone, job_id), timeout=60, what="the pause")
        case "running":
            assert reached(alone.http, job_id, {"running"}, timeout=120)["status"] == "running"
            wait_for(lambda: asked(model) > so_far, timeout=120, what="a search that goes on")
        case "as before":
            if status == "running":
                wait_for(lambda: asked(model) > so_far + 1, timeout=120, what="a search that goes on")
            assert _status(alone, job_id) == status
        case _:
            found = ended(alone.http, job_id)
            assert found["status"] == end, found["message"]
            assert bool(found["result"]["details"]["stopped_early"]) == (end == "success")
    if end in ("held", "cancelled") and status == "running":
        at_rest(model)


def _status(alone: Service, job_id: str) -> str:
    return str(job(alone.http, job_id, "/summary")["status"])


def _message(alone: Service, job_id: str) -> str:
    return str(job(alone.http, job_id, "/summary")["message"])
