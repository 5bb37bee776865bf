"""What the metric calls is a judge: no candidate, no part of the program's trace, and its errors are the metric's."""

from collections.abc import Iterator
from contextlib import contextmanager

import dspy


@contextmanager
def judging() -> Iterator[None]:
    """Callbacks that follow the program do not follow the metric: what one of ours has as `in_metric` takes its place
    there, or nothing. dspy carries them into the threads that the metric starts through it."""
    given = [getattr(callback, "in_metric", callback) for callback in dspy.settings.callbacks]
    with dspy.context(callbacks=[callback for callback in given if callback is not None], trace=[]):
        yield
