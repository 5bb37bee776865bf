"""The operator's passes on a simulated cluster: what it writes, and how often."""

import json

import pytest

from dspy_service_core.errors import UnusableRequest
from dspy_service_core.kube import errors
from dspy_service_core.kube.resources import EVENTS, JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.registry.catalogue import bundled
from dspy_service_core.registry.registry import build
from dspy_service_core.registry.registry_file import RegistryFile
from dspy_service_core.resource import names
from dspy_service_operator.watch.resync import OURS
from operator_harness import Harness


@pytest.fixture
async def harness() -> Harness:
    made = Harness(concurrency=2)
    await made.start()
    return made


async def run_to_the_pod(harness: Harness, name: str = "tickets") -> None:
    await harness.settle()
    harness.nodes.control_jobs()
    await harness.settle()


async def test_a_whole_job_takes_five_writes(harness):
    harness.submit(api_made=True)
    await run_to_the_pod(harness)
    (pod,) = harness.pods()
    harness.nodes.start(pod)
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()
    assert harness.status()["phase"] == "Running"
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    harness.nodes.control_jobs()
    await harness.settle()
    assert harness.api.writes == [
        ("create", "jobs", "tickets-1"),
        ("patch", "optimizationjobs", "tickets/status"),
        ("patch", "optimizationjobs", "tickets/status"),
        ("patch", "optimizationjobs", "tickets/status"),
        ("patch", "optimizationjobs", "tickets"),
    ]
    assert harness.status()["phase"] == "Succeeded"
    assert harness.job()["metadata"]["labels"][names.LABEL_FINISHED] == "true"


async def test_a_job_that_ends_at_once_takes_four(harness):
    harness.submit(api_made=True)
    await run_to_the_pod(harness)
    harness.nodes.start(harness.pods()[0])
    harness.nodes.begin(harness.pods()[0])
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    await harness.settle()
    assert len(harness.api.writes) == 4
    assert harness.status()["startedAt"]


async def test_children_carry_the_labels_that_the_watches_select_by(harness):
    harness.submit()
    await harness.settle()
    found = await harness.api.client.list(JOBS, label_selector=OURS)
    assert [job["metadata"]["name"] for job in found.items] == ["tickets-1"]
    owner = found.items[0]["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (harness.job()["metadata"]["uid"], True)


async def test_a_waiting_job_costs_no_request_at_all(harness):
    for number in range(2):
        harness.submit(f"first-{number}", api_made=True)
    await harness.settle()
    writes, reads = len(harness.api.writes), len(harness.api.reads)
    for number in range(20):
        harness.submit(f"later-{number}", api_made=True)
    await harness.settle()
    assert (len(harness.api.writes), len(harness.api.reads)) == (writes, reads)


async def test_a_free_slot_is_given_to_the_next_job_at_once(harness):
    for number in range(3):
        harness.submit(f"job-{number}", api_made=True, run={"priority": number})
    harness.deliver_all()
    for number in (2, 1, 0):
        await harness.reconcile(f"job-{number}")
    assert [job["metadata"]["name"] for job in harness.api.all(JOBS)] == ["job-2-1", "job-1-1"]
    harness.edit("job-2", stop="Cancel")
    harness.deliver(OPTIMIZATION_JOBS)
    await harness.reconcile("job-2")
    assert not harness.controller.work.idle  # it enqueued the job that has the slot now
    await harness.reconcile("job-0")
    assert harness.api.find(JOBS, "job-0-1")


async def test_every_step_is_an_event_on_the_resource(harness):
    harness.submit(api_made=True)
    await run_to_the_pod(harness)
    harness.nodes.start(harness.pods()[0])
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    await harness.settle()
    async with harness.controller.running():
        pass
    events = harness.api.all(EVENTS)
    assert [event["reason"] for event in events] == ["AttemptStarted", "Running", "Succeeded"]
    assert {event["involvedObject"]["uid"] for event in events} == {harness.job()["metadata"]["uid"]}


async def test_a_job_that_the_checks_refuse_fails_before_anything_is_made(harness):
    def refuse(*_: object) -> None:
        raise UnusableRequest("Unknown optimizer 'x'.")

    harness.check = refuse
    harness.submit()
    await harness.settle()
    assert (harness.status()["phase"], harness.status()["message"]) == ("Failed", "Unknown optimizer 'x'.")
    assert not harness.api.all(JOBS)


async def test_what_another_version_wrote_and_cannot_be_read_fails(harness):
    harness.submit(module="not an object")
    await harness.settle()
    assert harness.status()["phase"] == "Failed"
    assert "module" in harness.status()["message"]


async def test_after_a_deletion_nothing_is_done_and_the_slot_is_free(harness):
    for name in ("one", "two", "three"):
        harness.submit(name, api_made=True)
    await harness.settle()
    harness.api.remove(OPTIMIZATION_JOBS, harness.job("one"))
    await harness.settle("one", "two", "three")
    assert {job["metadata"]["name"] for job in harness.api.all(JOBS)} == {"two-1", "three-1"}
    assert harness.controller.queue.running == 2


async def test_a_slot_is_kept_until_what_frees_it_is_written(harness):
    """A job that is suspended and resumed while its status cannot be written goes on in its own slot."""
    for name in ("one", "two", "three"):
        harness.submit(name, api_made=True)
    await harness.settle()
    harness.nodes.control_jobs()
    await harness.settle()
    for act in (harness.nodes.start, harness.nodes.begin):
        for pod in harness.pods():
            act(pod)
    await harness.settle()
    harness.edit("one", suspend=True)
    harness.deliver_all()
    pod = next(pod for pod in harness.pods() if pod["metadata"]["labels"][names.LABEL_JOB] == "one")
    harness.nodes.report(pod, progress={"percent": "50"})
    assert await harness.reconcile("one") == 0.0
    harness.edit("one", suspend=False)
    await harness.settle()
    assert harness.controller.queue.running == 2
    assert "three-1" not in {job["metadata"]["name"] for job in harness.api.all(JOBS)}


@pytest.mark.parametrize(
    ("refusal", "phase", "reason"),
    [
        (errors.Invalid("spec.template: unknown priority class"), "Failed", "JobRefused"),
        (errors.Forbidden("exceeded quota: count/jobs.batch"), "Pending", "WaitingForQuota"),
        (errors.Forbidden("the namespace is being terminated"), "Pending", "JobForbidden"),
    ],
)
async def test_a_job_object_that_the_cluster_refuses_is_shown(harness, refusal, phase, reason):
    harness.submit()
    harness.deliver_all()
    harness.api.refusal = refusal
    assert await harness.reconcile() == 0.0
    await harness.reconcile()
    assert harness.status()["phase"] == phase
    assert reason in {condition["reason"] for condition in harness.status()["conditions"]}
    assert str(refusal) in harness.status()["message"]


async def test_a_name_that_only_an_earlier_registry_knew_ends_the_job(harness):
    """The spec was found usable before the operator was started with another registry."""
    harness.submit(optimizer={"name": "ours"})
    harness.deliver_all()
    assert await harness.reconcile() == 0.0
    await harness.reconcile()
    assert harness.status()["phase"] == "Failed"
    assert "Unknown optimizer 'ours'. Allowed: " in harness.status()["message"]
    assert not harness.api.all(JOBS)


async def test_the_pod_is_told_what_an_alias_stands_for(harness):
    file = RegistryFile.model_validate({"optimizers": {"ours": {"path": "dspy.MIPROv2", "kwargs": {"auto": "light"}}}})
    harness.registry = build(file, bundled())
    await harness.start()
    harness.submit(optimizer={"name": "ours"})
    harness.deliver_all()
    await harness.reconcile()
    (reporter,) = harness.api.all(JOBS)[0]["spec"]["template"]["spec"]["initContainers"]
    told = json.loads(reporter["args"][reporter["args"].index("--targets") + 1])
    assert told["optimizer"] == {"path": "dspy.MIPROv2", "kwargs": {"auto": "light"}}


async def test_a_foreign_job_of_the_attempts_name_is_never_taken_for_ours(harness):
    harness.api.add(JOBS, {"metadata": {"name": "tickets-1"}, "spec": {}})
    harness.submit()
    harness.deliver_all()
    await harness.reconcile()
    again = await harness.reconcile()
    assert "does not belong" in harness.status()["message"]
    assert again
    harness.api.remove(JOBS, harness.api.all(JOBS)[0])
    await harness.reconcile()
    assert harness.api.all(JOBS)[0]["metadata"]["labels"][names.LABEL_JOB] == "tickets"


async def test_a_status_is_never_written_over_a_report_that_came_meanwhile(harness):
    """The pod is gone and the result is on its way: the version that was decided on is no longer the newest."""
    harness.submit(api_made=True)
    await run_to_the_pod(harness)
    harness.nodes.start(harness.pods()[0])
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    harness.deliver(PODS)  # the resource's own event lags
    await harness.reconcile()
    assert harness.status()["phase"] == "Succeeded"


async def test_an_attempts_job_that_was_made_by_a_pass_that_crashed_is_taken_up(harness):
    harness.submit()
    harness.deliver_all()
    harness.api.fail_next = "after"
    await harness.reconcile()
    await harness.start()
    await run_to_the_pod(harness)
    assert len(harness.api.all(JOBS)) == 1
    assert harness.status()["attempt"]["podUID"] == harness.pods()[0]["metadata"]["uid"]


async def test_a_restart_with_finished_jobs_writes_nothing_and_reads_none_of_them(harness):
    ended = {"phase": "Succeeded", "completedAt": "2026-01-01T00:00:00Z"}
    for number in range(300):
        harness.submit(f"done-{number}", status=ended, labels={names.LABEL_FINISHED: "true"})
    await harness.start()
    await harness.settle()
    assert harness.api.writes == []
    assert len(harness.controller.view) == 0


async def test_after_a_restart_slots_go_by_rank_whoever_is_looked_at_first(harness):
    for number in range(4):
        harness.submit(f"job-{number}", api_made=True, run={"priority": number})
    await harness.start()
    for number in range(4):
        await harness.reconcile(f"job-{number}")
    assert {job["metadata"]["name"] for job in harness.api.all(JOBS)} == {"job-2-1", "job-3-1"}


async def test_objects_that_were_deleted_unseen_are_found_by_a_resync(harness):
    for name in ("one", "two", "three"):
        harness.submit(name, api_made=True)
    await harness.settle()
    harness.api.remove(OPTIMIZATION_JOBS, harness.job("one"))
    harness.skip_events()
    await harness.controller.resync()
    await harness.settle("one", "two", "three")
    assert harness.api.find(JOBS, "three-1")


async def test_a_pod_that_hangs_after_its_result_is_stopped(harness):
    harness.submit(api_made=True)
    await run_to_the_pod(harness)
    pod = harness.pods()[0]
    harness.nodes.start(pod)
    harness.nodes.begin(harness.pods()[0])
    harness.nodes.report(harness.pods()[0], result={"outcome": "Succeeded"})
    await harness.settle()
    assert harness.status()["phase"] == "Succeeded"
    assert harness.api.find(JOBS, "tickets-1")
    again = await harness.reconcile()
    assert again
    assert again > 30


async def test_a_job_name_may_be_used_again(harness):
    harness.submit()
    await run_to_the_pod(harness)
    first = harness.pods()[0]["metadata"]["uid"]
    harness.api.remove(OPTIMIZATION_JOBS, harness.job())
    harness.submit()
    await harness.settle()
    harness.nodes.reap()
    await run_to_the_pod(harness)
    (pod,) = harness.pods()
    assert pod["metadata"]["uid"] != first
    assert harness.status()["attempt"]["podUID"] == pod["metadata"]["uid"]


async def test_an_evicted_pod_that_is_gone_when_it_is_looked_at_was_evicted_all_the_same(harness):
    harness.submit()
    await run_to_the_pod(harness)
    harness.nodes.start(harness.pods()[0])
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()
    harness.nodes.evict(harness.pods()[0])
    harness.deliver_all()
    harness.api.remove(PODS, harness.pods()[0])
    await harness.reconcile()
    (over,) = harness.status()["attempts"]
    assert (over["reason"], over["counted"]) == ("Disrupted", False)
    assert "EvictionByEvictionAPI" in over["message"]
