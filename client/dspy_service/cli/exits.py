"""The exit codes of `dspy-service`, and which error means which. Scripts rely on them: they do not change.

| code | meaning |
|---|---|
| 0 | done; for `watch`, `submit --watch` and `demo`: the job succeeded |
| 1 | the job failed or was cancelled |
| 2 | wrong usage, a payload that the service refuses, or an ID that may mean several jobs |
| 3 | the service cannot be reached, or cannot reach its cluster or store |
| 4 | there is no such job, or no artifact of it (yet) |
| 5 | an artifact arrived damaged |
| 130 | interrupted with Ctrl-C; a watched job goes on |
"""

from dspy_service import errors

SUCCESS = 0
JOB_FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_THERE = 4
DAMAGED = 5
INTERRUPTED = 130

_CODES: tuple[tuple[type[errors.DspyServiceError], int], ...] = (
    (errors.JobFailed, JOB_FAILED),
    (errors.ServiceUnreachable, UNREACHABLE),
    (errors.UnexpectedAnswer, UNREACHABLE),
    (errors.UnknownJob, NOT_THERE),
    (errors.NotFinished, NOT_THERE),
    (errors.NoArtifact, NOT_THERE),
    (errors.DamagedArtifact, DAMAGED),
)


def exit_code(error: errors.DspyServiceError) -> int:
    """What is not in the table is wrong usage: a refused payload, an unreadable file."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), USAGE)
