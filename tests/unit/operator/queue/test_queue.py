import pytest
from hypothesis import given, strategies as st

from dspy_service_core.resource.queue_order import Rank, age, rank as job_rank
from dspy_service_operator.queue.queue import Key, Queue

CREATED = "2026-01-02T12:00:00Z"


def rank(priority: int, created: str, name: str) -> Rank:
    return job_rank(priority, age(name, created, None))


def offer(queue: Queue, name: str, namespace: str = "a", *, priority: int = 0, created: str = CREATED) -> Key:
    key = (namespace, name)
    queue.offer(key, rank(priority, created, name))
    return key


def test_by_priority_then_age_then_name():
    queue = Queue(limit=9)
    keys = [
        offer(queue, "young", created="2026-01-02T12:00:01Z"),
        offer(queue, "b"),
        offer(queue, "a"),
        offer(queue, "urgent", priority=5, created="2026-01-02T13:00:00Z"),
        offer(queue, "lazy", priority=-5, created="2020-01-01T00:00:00Z"),
    ]
    wanted = [keys[3], keys[2], keys[1], keys[0], keys[4]]
    assert list(queue.in_order()) == wanted
    assert queue.admit() == wanted


def test_as_many_as_there_are_slots():
    queue = Queue(limit=2)
    for name in "abc":
        offer(queue, name)
    assert queue.admit() == [("a", "a"), ("a", "b")]
    assert queue.admit() == []
    queue.withdraw(("a", "a"))
    assert queue.admit() == [("a", "c")]


def test_no_slots_holds_all():
    queue = Queue(limit=0)
    offer(queue, "a")
    assert queue.admit() == []


def test_a_full_namespace_does_not_hide_another():
    queue = Queue(limit=3, namespace_limit=1)
    for name in "abc":
        offer(queue, name, "busy", priority=9)
    offer(queue, "x", "quiet")
    assert queue.admit() == [("busy", "a"), ("quiet", "x")]


def test_what_runs_already_takes_its_slot_beyond_the_limit():
    queue = Queue(limit=1)
    queue.hold(("a", "one"))
    queue.hold(("a", "two"))
    offer(queue, "three")
    queue.withdraw(("a", "one"))
    assert queue.admit() == []
    queue.withdraw(("a", "two"))
    assert queue.admit() == [("a", "three")]


def test_offering_again_changes_nothing_but_a_new_rank_does():
    queue = Queue(limit=0)
    first, second = offer(queue, "a"), offer(queue, "b")
    offer(queue, "a")
    assert list(queue.in_order()) == [first, second]
    offer(queue, "b", priority=1)
    assert list(queue.in_order()) == [second, first]
    assert len(queue) == 2


def test_withdrawn_entries_never_come_up():
    queue = Queue(limit=1)
    gone = offer(queue, "a", priority=9)
    kept = offer(queue, "b")
    queue.withdraw(gone)
    assert queue.admit() == [kept]


keys = st.tuples(st.sampled_from("ab"), st.sampled_from("uvwxyz"))
operations = st.lists(st.tuples(st.sampled_from(["offer", "hold", "withdraw", "admit"]), keys, st.integers(0, 3)))


@pytest.mark.timeout(60)
@given(operations, st.integers(0, 3), st.integers(0, 2))
def test_it_agrees_with_sorting_everything(given_operations, limit, namespace_limit):
    queue, waiting, holding = Queue(limit, namespace_limit), {}, []
    for what, key, priority in given_operations:
        if what == "offer":
            queue.offer(key, rank(priority, CREATED, key[1]))
            if key not in holding:
                waiting[key] = rank(priority, CREATED, key[1])
        elif what == "hold":
            queue.hold(key)
            waiting.pop(key, None)
            holding += [] if key in holding else [key]
        elif what == "withdraw":
            queue.withdraw(key)
            waiting.pop(key, None)
            holding = [other for other in holding if other != key]
        else:
            expected = []
            for candidate in sorted(waiting, key=lambda key: (waiting[key], key)):
                used = sum(other[0] == candidate[0] for other in holding)
                if len(holding) < limit and used < (namespace_limit or limit):
                    expected.append(candidate)
                    holding.append(candidate)
            for admitted in expected:
                del waiting[admitted]
            assert queue.admit() == expected
        assert list(queue.in_order()) == sorted(waiting, key=lambda key: (waiting[key], key))
        assert queue.running == len(holding)


class CountedName(str):
    """A name that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: str) -> bool:
        CountedName.comparisons += 1
        return super().__lt__(other)


def test_among_ten_thousand_a_free_slot_costs_a_few_comparisons():
    queue = Queue(limit=10)
    for number in range(10_000):
        name = CountedName(f"job-{number:05}")
        queue.offer(("a", name), rank(0, CREATED, name))
    queue.admit()
    before = CountedName.comparisons
    for number in range(100):
        queue.withdraw(("a", f"job-{number:05}"))
        assert queue.admit() == [("a", f"job-{number + 10:05}")]
    assert CountedName.comparisons - before < 100 * 60
