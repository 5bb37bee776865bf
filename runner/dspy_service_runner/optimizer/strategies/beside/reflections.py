"""Lets GEPA reflect on several proposals at the same time.

With a sampling strategy of several proposals, gepa scores them beside each other, but dspy.GEPA asks the reflection
model for one after the other, because an adapter that proposes by itself (dspy's does) is not asked for batches. One of
them that fails costs only its own proposal, as in gepa.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from gepa.proposer.reflective_mutation.reflective_mutation import ReflectiveMutationProposer

from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.strategies.beside.threads import beside_each_other

Texts = tuple[dict[str, str], dict[str, Any], dict[str, str], dict[str, Any]]


@contextmanager
def reflections_beside(threads: int) -> Iterator[None]:
    one_by_one = ReflectiveMutationProposer._propose_texts_batch_safe

    def propose(self: Any, jobs: list[Any]) -> list[Texts | None]:
        if len(jobs) < 2:
            found: list[Texts | None] = one_by_one(self, jobs)
            return found
        with beside_each_other(min(len(jobs), threads)) as start:
            return [each.result() for each in [start(partial(_proposal, self, job)) for job in jobs]]

    ReflectiveMutationProposer._propose_texts_batch_safe = propose
    try:
        yield
    finally:
        ReflectiveMutationProposer._propose_texts_batch_safe = one_by_one


def _proposal(proposer: Any, job: Any) -> Texts | None:
    try:
        found: Texts = proposer.propose_new_texts(*job)
    except Exception as error:
        proposer.logger.log(f"A reflection failed: {first_line(error)}")
        return None
    return found
