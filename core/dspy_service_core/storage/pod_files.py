"""Names of the files by which reporter and optimizer communicate; both use these. Without pydantic and dspy.

The reporter writes `/job/in`, which is read-only for the optimizer. The optimizer writes `/job/out`; user code runs in
the same process, so the reporter treats these files as hostile.
"""

# /job/in
JOB = "job.json"
ROWS = "rows.jsonl"
READY = "ready"
REFUSED = "refused"
"""Written instead of `ready` if the inputs cannot be restored: the optimizer need not wait, and the reporter says
why."""
STOP = "stop"

# /job/out
PROGRESS = "progress.json"
RESULT = "result.json"
ARTIFACT = "artifact"

# in both: /job/in has what an earlier attempt left, /job/out what this attempt adds
CALLS = "calls.jsonl"
CHECKPOINT = "checkpoint"
LOGS = "logs.jsonl"
EVENTS = "events.jsonl"

PROGRAM_STATE = "program.json"
PROGRAM_PICKLE = "program.pkl"
SIGNATURE_SOURCE = "signature.py"
PROMPT = "prompt.md"
METADATA = "metadata.json"
ROW_RESULTS = "rows.jsonl"
"""What both programs made of each test row."""
ARTIFACT_FILES = (PROGRAM_STATE, PROGRAM_PICKLE, SIGNATURE_SOURCE, PROMPT, METADATA, ROW_RESULTS)
MANIFEST = "manifest.json"
MAX_TEXT_BYTES = 16 * 1024 * 1024
MAX_PICKLE_BYTES = 256 * 1024 * 1024
"""Largest sizes of the artifact's files, for the pickle and for all others: the optimizer writes no larger ones, and
the reporter takes none."""
PAYLOAD = "payload.json"

EXIT_NOT_READY = 64
"""The optimizer's exit code if `ready` did not come in time, which is always the infrastructure's fault."""
EXIT_TERMINATED = 143

TRYING_AGAIN = "; trying again"
"""The end of the reporter's message in the status while it waits for the store, a dataset's server or the disk."""
