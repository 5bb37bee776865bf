from dspy_service_operator.watch.view import ClusterView
from operator_objects import make_raw, running_status

KEY = ("default", "tickets")


def child(version: int, uid: str = "child", **more: object) -> dict:
    labels = {"dspy-service.io/job": "tickets", "dspy-service.io/attempt": "1"}
    metadata = {"name": "tickets-1", "namespace": "default", "uid": uid, "labels": labels}
    return {"metadata": {**metadata, "resourceVersion": str(version)}, **more}


def test_only_what_is_newer_is_news():
    view = ClusterView()
    assert view.upsert(make_raw(version=5)) == KEY
    assert view.upsert(make_raw(version=5)) is None
    assert view.upsert(make_raw(version=4)) is None
    assert view.upsert(make_raw(version=6)) == KEY


def test_versions_are_compared_as_numbers():
    view = ClusterView()
    view.upsert(make_raw(version=9))
    assert view.upsert(make_raw(version=10)) == KEY


def test_a_new_resource_of_that_name_takes_the_place_of_the_old():
    view = ClusterView()
    view.upsert(make_raw(uid="old", version=5))
    assert view.upsert(make_raw(uid="new", version=6)) == KEY
    assert view.remove(make_raw(uid="old", version=7)) is None
    assert view.get(KEY)
    assert view.remove(make_raw(uid="new", version=8)) == KEY
    assert view.get(KEY) is None


def test_what_ended_does_not_come_back_by_a_late_event():
    view = ClusterView()
    view.upsert(make_raw(version=5))
    view.close(make_raw(version=8))
    assert view.upsert(make_raw(version=7)) is None
    assert view.get(KEY) is None
    view.remove(make_raw(version=8))
    assert view.upsert(make_raw(uid="again", version=9)) == KEY


def test_rows_code_and_logs_are_not_kept():
    view = ClusterView()
    noisy = {"logs": {"count": 1, "tail": [{"n": 1, "timestamp": "", "level": "", "logger": "", "message": "x"}]}}
    run = running_status()["run"] | noisy
    view.upsert(make_raw(status=running_status(run=run)))
    entry = view.get(KEY)
    assert entry is not None
    assert entry.raw is None
    assert entry.job is not None
    assert (entry.job.spec.dataset.rows, entry.job.spec.signature.code, entry.job.status.run.logs.tail) == (
        None,
        None,
        [],
    )
    assert entry.job.status.run.stage == "Running"


def test_the_whole_of_a_fresh_one_is_kept_for_its_first_look():
    view = ClusterView()
    view.upsert(make_raw(), keep_raw=True)
    entry = view.get(KEY)
    assert entry is not None
    assert entry.raw is not None
    assert entry.raw["spec"]["dataset"]["rows"]


def test_what_cannot_be_read_is_kept_with_the_reason():
    view = ClusterView()
    view.upsert(make_raw(models={"default": {}}))
    entry = view.get(KEY)
    assert entry is not None
    assert entry.job is None
    assert entry.unreadable.startswith("spec.models.default.name: ")


def test_a_list_tells_what_is_gone_but_not_of_what_is_newer_or_elsewhere():
    view = ClusterView()
    for number, namespace in ((1, "default"), (2, "default"), (3, "other"), (50, "default")):
        view.upsert(make_raw(f"job-{number}", namespace=namespace, uid=f"uid-{number}", version=number))
    assert view.retain({"uid-1"}, until=10, namespace="default") == {("default", "job-2")}
    assert sorted(key[1] for key in view.known()) == ["job-1", "job-3", "job-50"]


def test_children_are_kept_by_the_job_they_belong_to():
    view = ClusterView()
    assert view.jobs.upsert(child(1)) == KEY
    assert view.jobs.upsert(child(1)) is None
    assert view.jobs.upsert({"metadata": {"name": "stranger", "uid": "x"}}) is None
    assert [job.uid for job in view.jobs.of(KEY)] == ["child"]
    assert view.jobs.remove(child(3, uid="another")) is None
    assert view.jobs.remove(child(3)) == KEY
    assert view.jobs.of(KEY) == []


def test_children_that_a_list_does_not_hold_are_gone():
    view = ClusterView()
    view.jobs.upsert(child(1))
    assert view.jobs.retain(set(), until=0, namespace=None) == set()
    assert view.jobs.retain(set(), until=1, namespace=None) == {KEY}
