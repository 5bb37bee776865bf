"""What can be done to a job: each asks once, says what it costs, and comes back to the job."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from dspy_service_api.page.contract import name
from dspy_service_api.page.views.summaries import head_of
from dspy_service_api.page.visit import Visit


@dataclass(frozen=True, slots=True)
class Action:
    title: str
    button: str
    costs: str
    method: str = "POST"
    grave: bool = False


ACTIONS: Mapping[str, Action] = {
    "stop": Action(
        "Stop the search and keep the best program?",
        "Stop and keep the best",
        "The best program so far is scored on the test rows, which calls the models once more for each row. The search "
        "cannot be taken up again. Where nothing was found yet, the job ends as cancelled.",
    ),
    "pause": Action(
        "Pause the job?",
        "Pause",
        "Its place is given to the next job; answers and candidates are kept. Calls that are on their way are paid for "
        "and lost. Its time does not count for the deadline.",
    ),
    "resume": Action(
        "Resume the job?",
        "Resume",
        "It waits for a place again and goes on from where it was; answered calls are not paid again.",
    ),
    "cancel": Action(
        "Cancel the job?",
        "Cancel the job",
        "It ends without a program. Its record, log and usage stay; what was spent is spent.",
        grave=True,
    ),
    "delete": Action(
        "Delete the job?",
        "Delete for good",
        "A running job is stopped first. Its record, log, rows and program are removed, and nothing brings them back.",
        method="DELETE",
        grave=True,
    ),
}


async def allowed(visit: Visit, job_id: str) -> frozenset[str]:
    """Those that the visitor may do to it."""
    answers = await asyncio.gather(*(visit.may(*_request(verb, job_id)) for verb in ACTIONS))
    return frozenset(verb for verb, may in zip(ACTIONS, answers, strict=True) if may)


def _request(verb: str, job_id: str) -> tuple[str, str]:
    path = f"/jobs/{name(job_id)}"
    return ("DELETE", path) if ACTIONS[verb].method == "DELETE" else ("POST", f"{path}/{verb}")


async def ask(visit: Visit, job_id: str, verb: str) -> Response:
    head = head_of(await visit.contract.summary(job_id))
    return visit.show("confirm.html", head=head, verb=verb, action=ACTIONS[verb])


async def act(visit: Visit, job_id: str, verb: str) -> Response:
    await visit.form()
    await visit.contract.send(*_request(verb, job_id))
    return visit.go("/" if verb == "delete" else f"/page/jobs/{name(job_id)}")
