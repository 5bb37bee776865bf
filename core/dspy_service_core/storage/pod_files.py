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
CANDIDATES = "candidates.jsonl"
CHECKPOINT = "checkpoint"
BEST = "best.json"
"""In the checkpoint: the best program so far, its score and its prompts."""
LOGS = "logs.jsonl"
EVENTS = "events.jsonl"

PROGRAM_STATE = "program.json"
BASELINE_STATE = "baseline.json"
"""The state of the program as it was given, in the same form."""
PROGRAM_PICKLE = "program.pkl"
MESSAGES = "messages.json"
PROMPT = "prompt.md"
METADATA = "metadata.json"
ROW_RESULTS = "rows.jsonl"
"""What both programs made of each test row."""
ARTIFACT_FILES = (PROGRAM_STATE, BASELINE_STATE, PROGRAM_PICKLE, MESSAGES, PROMPT, METADATA, ROW_RESULTS)
"""What the optimizer writes of the artifact."""
NEAREST_ROWS = "knn.json"
"""What a program of KNNFewShot looks up when it runs: rows, and the embedder's settings."""
RECORDS = (NEAREST_ROWS,)
"""What it writes besides after those optimizers whose program needs more than its state."""
SIGNATURE_SOURCE = "signature.py"
PROGRAM_SOURCE = "program.py"
PROGRAM_FILES = "program_files.json"
"""The program's further files: their texts by path."""
ARGUMENTS = "arguments.json"
"""What the program was constructed with."""
JOINED_PROGRAMS = "joined.json"
"""What an ensemble joined: sources and arguments of each of its programs."""
SUBMITTED_FILES = (SIGNATURE_SOURCE, PROGRAM_SOURCE, PROGRAM_FILES, ARGUMENTS, JOINED_PROGRAMS)
"""What the reporter adds from the job itself, because the job's code could change what the optimizer writes."""
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
