"""Keeps what a metric calls (a judge) apart from the program: it is no candidate, it is not in the program's trace, and
its errors are the metric's."""

from collections.abc import Iterator
from contextlib import contextmanager

import dspy


@contextmanager
def judging() -> Iterator[None]:
    """While a metric runs, those of our callbacks that watch the program are replaced by their attribute `in_metric`,
    or left out if that is None. dspy passes callbacks on to the threads that the metric starts through dspy."""
    given = [getattr(callback, "in_metric", callback) for callback in dspy.settings.callbacks]
    with dspy.context(callbacks=[callback for callback in given if callback is not None], trace=[]):
        yield
