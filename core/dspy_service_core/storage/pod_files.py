"""The files through which reporter and optimizer speak: both sides' one source. Free of pydantic and of dspy.

`/job/in` is written by the reporter and read-only to the optimizer; `/job/out` is the other way round, and what lies
there was written beside user code: the reporter reads it as hostile.
"""

# /job/in
JOB = "job.json"
ROWS = "rows.jsonl"
READY = "ready"
REFUSED = "refused"
"""Instead of `ready`: the inputs cannot be restored, the reporter tells why, and there is nothing to wait for."""
STOP = "stop"

# /job/out
PROGRESS = "progress.json"
RESULT = "result.json"
ARTIFACT = "artifact"

# both: what an earlier attempt left comes in, what this attempt adds goes out
CALLS = "calls.jsonl"
CHECKPOINT = "checkpoint"
LOGS = "logs.jsonl"
EVENTS = "events.jsonl"

PROGRAM_STATE = "program.json"
PROGRAM_PICKLE = "program.pkl"
SIGNATURE_SOURCE = "signature.py"
PROMPT = "prompt.md"
METADATA = "metadata.json"
ARTIFACT_FILES = (PROGRAM_STATE, PROGRAM_PICKLE, SIGNATURE_SOURCE, PROMPT, METADATA)
MANIFEST = "manifest.json"
MAX_TEXT_BYTES = 16 * 1024 * 1024
MAX_PICKLE_BYTES = 256 * 1024 * 1024
"""Of the artifact's files: the optimizer writes no larger ones, and the reporter takes none."""
PAYLOAD = "payload.json"

EXIT_NOT_READY = 64
"""The optimizer's exit code when no `ready` came in time: the infrastructure's fault, never the user's."""
EXIT_TERMINATED = 143

TRYING_AGAIN = "; trying again"
"""Ends what the reporter says in the status while the store, a dataset's server or the disk keeps it waiting."""
