"""Keeps DSPy from running a row a second time because it takes long.

DSPy does so for the last three rows of a score once they have taken 120 s, and keeps one of the answers. Both are paid
for, and a row that waits 120 s for a rate limit is slow through no fault of its own. A job that wants slow calls asked
again has `hedge`, which asks for the one call again and counts it.
"""

import functools
import inspect

from dspy.utils.parallelizer import ParallelExecutor

_NEVER = 0


def install() -> None:
    """A program that gives `dspy.Parallel` another `timeout` than DSPy's default has asked for it."""
    construct = ParallelExecutor.__init__
    default = inspect.signature(construct).parameters["timeout"].default

    @functools.wraps(construct)
    def constructed(self: ParallelExecutor, *args: object, **kwargs: object) -> None:
        construct(self, *args, **kwargs)
        if self.timeout == default:
            self.timeout = _NEVER

    ParallelExecutor.__init__ = constructed
