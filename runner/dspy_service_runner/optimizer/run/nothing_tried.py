"""Tells whether an optimizer tried anything at all, and if not, why: a run that did nothing is no success."""

import dspy

from dspy_service_core.optimizers.calls import Calls
from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.progress.candidates import Candidates


def why_nothing_was_tried(
    optimizer: str, program: dspy.Module, candidates: Candidates, calls: Calls | None, watch: ModelWatch
) -> str:
    """Empty if something was tried. An optimizer that scores nothing (`LabeledFewShot`, say) tried something if it
    changed the program."""
    if candidates.tried_another or not candidates.is_as_given(program):
        return ""
    scores_none = calls is not None and not calls.scores.most
    done = "found no demos for the program, and returned it as it was given" if scores_none else _SCORED_NO_OTHER
    return f"{optimizer} {done}{_because(candidates, watch)}"


_SCORED_NO_OTHER = "scored no other program than the one that it was given"


def _because(candidates: Candidates, watch: ModelWatch) -> str:
    refusal = watch.refusal()
    error = f"the first error was {first_line(watch.program_error)}" if watch.program_error else ""
    causes = [candidates.obstacle, refusal.message.splitlines()[0] if refusal else error]
    told = "; ".join(cause for cause in causes if cause)
    return f": {told.removesuffix('.')}." if told else "."
