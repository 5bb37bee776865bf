"""The optimizer's two documents, `progress.json` and `result.json`, as what the reporter may pass on.

Both were written beside user code: what the records do not declare is dropped, texts are cut and redacted. A result
that cannot be read is a result all the same: the job failed, and says why.
"""

from dspy_service_core.records.record import Reading, read
from dspy_service_core.records.run import ProgressDocument, ResultDocument
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import sanitize

MAX_PROGRESS_BYTES = 64 * 1024


def read_progress(content: bytes, reading: Reading) -> ProgressDocument | None:
    """None for what is no progress document: the one before stays."""
    return read(ProgressDocument, sanitize.load_object(content), reading)


def read_result(content: bytes, redactor: Redactor) -> ResultDocument:
    found = read(ResultDocument, redactor.json(sanitize.clean(sanitize.load_object(content))))
    return found or unreadable_result("it is not the document that the optimizer writes")


def unreadable_result(why: str) -> ResultDocument:
    return ResultDocument("Failed", "UnreadableResult", f"The run ended with a result that cannot be read: {why}.")
