"""Whose turn it is: nothing begins before the operator recorded this very pod as the job's attempt.

Two pods of one job can be alive at once (a node that lost its connection still runs its own); the recorded UID tells
which of them may run user code, write to the store and report.
"""

import logging

from dspy_service_runner.reporter.attempt.patience import Patience
from dspy_service_runner.reporter.status.own_resource import (
    Fenced,
    NotAllowed,
    Object,
    OwnResource,
    Unreachable,
    recorded_attempt,
    recorded_pod,
)

logger = logging.getLogger("dspy_service.reporter")

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0
_GROWTH = 1.25


def await_turn(own_resource: OwnResource, pod_uid: str, attempt: int, patience: Patience) -> Object:
    """The resource, once its recorded pod is this one. `Fenced` when it never will be, or the pod ends first."""
    pause, said = FIRST_PAUSE, ""
    while True:
        resource, problem = _ask(own_resource)
        if resource is not None and recorded_pod(resource) == pod_uid:
            return resource
        if resource is not None and recorded_attempt(resource) > attempt:
            raise Fenced(f"attempt {recorded_attempt(resource)} has begun")
        if problem != said:
            said = problem
            logger.warning("%s", problem)
        # A pod that is started only to drain what it left may find the API server still starting.
        if patience.termination.asked and (not problem or patience.exhausted()):
            raise Fenced("the pod ends before its turn came")
        patience.termination.wait(pause)
        pause = min(pause * _GROWTH, LONGEST_PAUSE)


def _ask(own_resource: OwnResource) -> tuple[Object | None, str]:
    """The resource, or what stands between."""
    try:
        resource = own_resource.get()
    except (Unreachable, NotAllowed) as error:
        return None, str(error)
    return resource, "" if resource is not None else "the resource is not there"
