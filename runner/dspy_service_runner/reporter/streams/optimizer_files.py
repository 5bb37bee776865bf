"""Reads the optimizer's two documents, `progress.json` and `result.json`, into what the reporter may pass on.

User code runs in the process that writes them, so fields that the records do not declare are dropped, and texts are cut
and redacted. A result that cannot be read counts as a result too: the job has failed, and the message says why.
"""

from dataclasses import replace

from dspy_service_core.records.events import without_false_figures
from dspy_service_core.records.record import Reading, read
from dspy_service_core.records.run import ProgressDocument, ResultDocument
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import sanitize

MAX_PROGRESS_BYTES = 64 * 1024


def read_progress(content: bytes, reading: Reading) -> ProgressDocument | None:
    """None for anything that is no progress document; then the one before stays in force."""
    found = read(ProgressDocument, sanitize.load_object(content), reading)
    return found and replace(found, figures=without_false_figures(found.figures))


def read_result(content: bytes, redactor: Redactor) -> ResultDocument:
    found = read(ResultDocument, redactor.json(sanitize.clean(sanitize.load_object(content))))
    return found or unreadable_result("it is not the document that the optimizer writes")


def unreadable_result(why: str) -> ResultDocument:
    return ResultDocument("Failed", "UnreadableResult", f"The run ended with a result that cannot be read: {why}.")
