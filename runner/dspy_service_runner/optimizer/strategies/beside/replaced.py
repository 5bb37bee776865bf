"""DSPy's own names replaced for a while, where it has no hook."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def replaced(module: ModuleType, **replacements: Any) -> Iterator[None]:
    """Names that the module does not have, such as those of builtins, are gone from it afterwards."""
    before = {name: vars(module)[name] for name in replacements if name in vars(module)}
    vars(module).update(replacements)
    try:
        yield
    finally:
        for name in replacements:
            del vars(module)[name]
        vars(module).update(before)
