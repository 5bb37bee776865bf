"""A request that is right in every way, to be made wrong in one."""

from typing import Any

SIGNATURE = """
class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
"""
METRIC = "def metric(gold, pred, trace=None):\n    return gold.label == pred.label\n"


def ticket_rows(count: int) -> list[dict[str, Any]]:
    return [{"text": f"ticket {n}", "label": "billing" if n % 2 else "login"} for n in range(count)]


def run_request(**changes: Any) -> dict[str, Any]:
    """`rows=n` for so many rows; `None` leaves a key out."""
    body: dict[str, Any] = {
        "module_name": "cot",
        "signature_code": SIGNATURE,
        "metric_code": METRIC,
        "optimizer_name": "miprov2",
        "dataset": ticket_rows(changes.pop("rows", 40)),
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "model_config": {"name": "openai/gpt-4o-mini"},
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


PROGRAM = """
from helpers.text import clean

class Triage(dspy.Module):
    def __init__(self, hint=""):
        super().__init__()
        self.summarize = dspy.ChainOfThought("text, hint -> summary")
        self.decide = dspy.Predict("summary -> label")
        self.hint = hint

    def forward(self, text):
        summary = self.summarize(text=clean(text), hint=self.hint).summary
        return self.decide(summary=summary)
"""
FILES = {"helpers/__init__.py": "", "helpers/text.py": "def clean(text):\n    return text.strip()\n"}


def program_request(**changes: Any) -> dict[str, Any]:
    """The same with a program of its own."""
    without = {"module_name": None, "signature_code": None, "column_mapping": None}
    return run_request(**without | {"program_code": PROGRAM, "program_files": FILES} | changes)
