"""cancel, stop, pause and resume: what each patches, that each may be repeated, and what refuses it."""

from typing import Any

import pytest

from api_service import Harness, failed, running, succeeded
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from faulty_transport import fails, no_fault

VERBS = ("cancel", "stop", "pause", "resume")
PATCHED = {
    "cancel": {"stop": "Cancel"},
    "stop": {"stop": "KeepBest", "suspend": False},
    "pause": {"suspend": True},
    "resume": {"suspend": False},
}
UNASKED = {"stop": "", "suspend": False}
STATES: dict[str, Object | None] = {
    "new": None,
    "queued": {"phase": "Pending", "conditions": [{"type": "Queued", "status": "True", "reason": "Queued"}]},
    "validating": {"phase": "Validating"},
    "running": running(30, 3),
}
CANCELLED: Object = {"phase": "Cancelled", "message": "Cancelled before its end, as spec.stop asked."}


async def asked(api: Harness, verb: str, code: int = 202) -> Any:
    response = await api.client.post(f"/jobs/tickets/{verb}")
    assert response.status_code == code, response.text
    return response.json()


def spec(api: Harness) -> Object:
    (found,) = api.cluster.all(OPTIMIZATION_JOBS)
    return dict(found["spec"])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_patches_the_spec_and_answers_the_summary(api: Harness, verb: str, state: str) -> None:
    await api.job("tickets", STATES[state])

    first, again = await asked(api, verb), await asked(api, verb)

    assert spec(api).items() >= PATCHED[verb].items()
    assert first["job_id"] == again["job_id"] == "tickets"
    assert first["status"] == again["status"] == (await api.client.get("/jobs/tickets/summary")).json()["status"]


async def test_a_paused_job_that_is_stopped_gets_an_attempt_to_score_its_best(api: Harness) -> None:
    await api.job("tickets", STATES["running"])
    await asked(api, "pause")
    await asked(api, "stop")

    assert spec(api).items() >= {"stop": "KeepBest", "suspend": False}.items()


@pytest.mark.parametrize(
    ("status", "before", "taken"),
    [
        (succeeded(), {}, ()),
        (failed("the metric raised"), {}, ()),
        (CANCELLED, {}, ("cancel",)),
        (CANCELLED, {"stop": "Cancel"}, ("cancel",)),
        (CANCELLED, {"stop": "KeepBest"}, ("cancel", "stop")),
        (failed("the metric raised"), {"stop": "KeepBest"}, ()),
        (succeeded(), {"stop": "KeepBest"}, ()),
    ],
)
async def test_what_has_ended_refuses_all_but_what_ended_it(
    api: Harness, status: Object, before: Object, taken: tuple[str, ...]
) -> None:
    await api.job("tickets", status, **before)
    word = (await api.client.get("/jobs/tickets/summary")).json()["status"]

    for verb in VERBS:
        answer = await asked(api, verb, 202 if verb in taken else 409)
        if verb not in taken:
            said = {"detail": f"The job has ended already: {word}.", "code": "job_ended", "status": word}
            assert answer == said
    assert {name: spec(api)[name] for name in UNASKED} == UNASKED | before


async def test_a_job_that_was_stopped_early_takes_a_repeated_stop(api: Harness) -> None:
    status = succeeded()
    status["run"]["result"]["stoppedEarly"] = True
    await api.job("tickets", status, stop="KeepBest")

    assert (await asked(api, "stop"))["status"] == "success"


async def test_a_job_that_is_being_cancelled_takes_nothing_else(api: Harness) -> None:
    await api.job("tickets", STATES["running"])
    await asked(api, "cancel")

    for verb in ("stop", "pause", "resume"):
        assert (await asked(api, verb, 409))["detail"] == "The job is being cancelled."
    await asked(api, "cancel")


async def test_a_job_that_ends_while_it_is_asked(api: Harness) -> None:
    """The cache of this replica does not know of the end yet: the cluster's answer to the patch tells it."""
    made = await api.job("tickets", STATES["running"])
    api.cluster.change(OPTIMIZATION_JOBS, "tickets", {"status": succeeded()})
    api.service.cache.upsert(made)

    assert (await asked(api, "cancel", 409))["status"] == "success"


@pytest.mark.parametrize("verb", VERBS)
async def test_another_job_of_the_same_name_is_not_touched(api: Harness, verb: str) -> None:
    made = await api.job("tickets")
    api.cluster.remove(OPTIMIZATION_JOBS, "tickets")
    await api.job("tickets")
    api.service.cache.upsert(made)

    answer = await asked(api, verb, 404)

    assert answer["code"] == "unknown_job"
    assert spec(api).items() >= UNASKED.items()


@pytest.mark.parametrize("verb", VERBS)
async def test_an_unknown_job(api: Harness, verb: str) -> None:
    assert (await asked(api, verb, 404))["code"] == "unknown_job"


async def test_a_cluster_that_does_not_allow_it(api: Harness) -> None:
    await api.job("tickets")
    api.cluster.transport.before = fails("patch", OPTIMIZATION_JOBS, kube.Forbidden("may not patch"))
    assert (await asked(api, "cancel", 503))["code"] == "cluster_refused"
    api.cluster.transport.before = no_fault
    await asked(api, "cancel")
