"""cancel, stop, pause and resume, on a job that would run for a while: what each ends with, and that no model is asked
any more once the job has come to rest. Over HTTP, and once by each other way that people give them; every state of a
job by every way is `tests/e2e_local/test_control_table.py`, on the embedded cluster."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from control_channels import CHANNELS, VERBS, Channel, Channels, Verb
from controlled_jobs import END, LATENCY, State, asked, at_rest, begun as searching, paused
from kubectl import Kubectl
from payloads import payload
from under_test import Model, Service
from waiting import wait_for
from whole_jobs import ended, job, reached, submit

pytestmark = pytest.mark.e2e

SEARCH = {
    "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
    "optimizer_kwargs": {"num_candidate_programs": 8, "max_bootstrapped_demos": 1, "num_threads": 1},
    "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
}


IN_FLIGHT = 2
"""Calls of one thread that a pause may cost: the one under way, and one that the store did not know of yet."""


@pytest.fixture
def slow(model: Model) -> Iterator[Model]:
    model.reset()
    model.latency = 0.1
    yield model
    model.latency = 0.0


def begun(running: Service, model: Model) -> str:
    """A job whose search has found something to keep."""
    job_id = submit(running.http, payload(30, model.url, **SEARCH))
    reached(running.http, job_id, {"running"}, timeout=120)

    def found() -> bool:
        return job(running.http, job_id, "/summary")["latest_metrics"].get("tqdm_n", 0) > 20

    wait_for(found, timeout=120, interval=0.1, what="a search that has scored some programs")
    return job_id


def ask(running: Service, job_id: str, verb: str) -> Any:
    answer = running.http.post(f"/jobs/{job_id}/{verb}")
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_cancelled_job_keeps_its_record_and_log(running: Service, slow: Model) -> None:
    job_id = begun(running, slow)

    ask(running, job_id, "cancel")

    answer = ended(running.http, job_id)
    assert answer["status"] == "cancelled"
    assert answer["logs"]
    assert ask(running, job_id, "cancel")["status"] == "cancelled"
    again = running.http.post(f"/jobs/{job_id}/resume")
    assert (again.status_code, again.json()["code"], again.json()["status"]) == (409, "job_ended", "cancelled")


def test_a_stopped_job_ends_with_the_best_so_far(running: Service, slow: Model) -> None:
    job_id = begun(running, slow)

    ask(running, job_id, "stop")

    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["details"]["stopped_early"] is True
    assert 0 <= answer["result"]["optimized_test_metric"] <= 100
    assert ask(running, job_id, "stop")["status"] == "success"


def test_a_paused_job_goes_on_from_where_it_was(running: Service, slow: Model) -> None:
    slow.latency = 0.0
    undisturbed = ended(running.http, submit(running.http, payload(30, slow.url, **SEARCH)))
    needed = slow.stats.calls
    slow.reset()
    slow.latency = 0.1
    job_id = begun(running, slow)

    ask(running, job_id, "pause")
    wait_for(lambda: job(running.http, job_id, "/summary")["status"] == "pending", timeout=60, what="the pause")
    wait_for(lambda: slow.stats.in_flight == 0, timeout=60, what="a model that nobody asks")
    asked = slow.stats.calls
    slow.latency = 0.0
    ask(running, job_id, "resume")

    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["optimized_test_metric"] == undisturbed["result"]["optimized_test_metric"]
    assert asked < slow.stats.calls <= needed + IN_FLIGHT, "what was answered before the pause is not asked again"


FOUND_IN: dict[Verb, State] = {"cancel": "running", "stop": "running", "pause": "running", "resume": "paused"}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine")
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_by_each_way(
    running: Service, model: Model, kubectl: Kubectl, verb: Verb, channel: Channel, given_kubeconfig: object
) -> None:
    if given_kubeconfig is None:
        pytest.skip("the table of all states, on the embedded cluster, has these")
    model.reset()
    model.latency = LATENCY
    job_id = paused(running, model) if FOUND_IN[verb] == "paused" else searching(running, model)

    assert Channels(running, kubectl).give(verb, job_id, channel)

    match END[verb, FOUND_IN[verb]]:
        case "held":
            wait_for(lambda: job(running.http, job_id, "/summary")["status"] == "pending", timeout=60, what="the pause")
            at_rest(model)
        case "running":
            so_far = asked(model)
            wait_for(lambda: asked(model) > so_far, timeout=120, what="a search that goes on")
        case end:
            assert ended(running.http, job_id)["status"] == end
            at_rest(model)
    rest = asked(model)
    ask(running, job_id, "stop" if verb == "stop" else "cancel")
    ended(running.http, job_id)
    model.latency = 0.0
    assert asked(model) == rest or verb == "resume", "a job at rest asks nobody"
