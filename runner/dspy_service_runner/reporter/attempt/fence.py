"""Waits for the pod's turn: nothing begins before the operator has recorded this pod as the job's attempt.

Two pods of one job can be alive at the same time, since a node that lost its connection keeps running its pods. The
recorded UID tells which of them may run user code, write to the store and report.
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
    """Returns the resource as soon as this pod is recorded in it. Raises `Fenced` if that can no longer happen, or if
    the pod is asked to end before."""
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
        # A pod that is started again only to drain may find the API server still starting, and then keeps asking.
        if patience.termination.asked and (not problem or patience.exhausted()):
            raise Fenced("the pod ends before its turn came")
        patience.termination.wait(pause)
        pause = min(pause * _GROWTH, LONGEST_PAUSE)


def _ask(own_resource: OwnResource) -> tuple[Object | None, str]:
    """The resource, or why there is none."""
    try:
        resource = own_resource.get()
    except (Unreachable, NotAllowed) as error:
        return None, str(error)
    return resource, "" if resource is not None else "the resource is not there"
