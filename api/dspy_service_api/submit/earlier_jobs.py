"""What a request takes from earlier jobs. Whoever sends it must be allowed to read each of them: the same permission is
asked for as by `GET /jobs/{job_id}`, and before anything is said of the job."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_core import nesting
from dspy_service_core.errors import JobNotFinished, JobNotFound, NoArtifact, UnusableRequest

MayRead = Callable[[str], Awaitable[str]]
"""Why the request's sender may not read the job of that id; empty if it may."""
State = Mapping[str, Any]


class NotPermitted(Exception):
    """The sender of a request may not read a job that it names."""


@dataclass(frozen=True, slots=True)
class EarlierJobs:
    """The jobs that one request names, as far as its sender may read them."""

    jobs: Jobs
    refusal: MayRead

    async def state(self, job_id: str, field: str) -> State:
        """The state of the job's program. `field` is the request's, which names the job."""
        if refused := await self.refusal(job_id):
            raise NotPermitted(f"{field}: {refused}")
        try:
            state = nesting.loads(await self.jobs.program_state(job_id))
        except JobNotFound:
            raise JobNotFound(job_id, field) from None
        except JobNotFinished:
            raise UnusableRequest(f"{field}: job '{job_id}' has not finished yet: wait for its program.") from None
        except NoArtifact:
            raise UnusableRequest(f"{field}: job '{job_id}' made no program to begin with.") from None
        except orjson.JSONDecodeError:
            state = None  # the job's own code can write that file
        if not isinstance(state, dict):
            raise UnusableRequest(f"{field}: the program's state of job '{job_id}' cannot be read.")
        return state
