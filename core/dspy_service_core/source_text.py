"""Python source of users, parsed and never run: where `signature_source` and `metric_source` begin."""

import ast
import warnings

from dspy_service_core.errors import UnusableRequest

MAX_SOURCE_CHARACTERS = 256 * 1024
"""Parsing is quick but not free, and happens in the API's process: a longer text is no signature and no metric."""


def parse(code: str, field: str) -> ast.Module:
    """`field` is what the sender calls the text."""
    if len(code) > MAX_SOURCE_CHARACTERS:
        raise UnusableRequest(f"{field} is {len(code)} characters long; at most {MAX_SOURCE_CHARACTERS} are allowed.")
    try:
        with warnings.catch_warnings():  # of invalid escapes and such: the user's business, not our log's
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as exc:
        raise UnusableRequest(_syntax_error(exc, field)) from None
    except ValueError as exc:  # null bytes
        raise UnusableRequest(f"{field} is not Python source: {exc}.") from None
    except (RecursionError, MemoryError):
        raise UnusableRequest(f"{field} is nested too deeply to be parsed.") from None


def _syntax_error(exc: SyntaxError, field: str) -> str:
    text = (exc.text or "").strip()
    shown = f": {text[:80]}" if text else "."
    return f"{field} has a syntax error on line {exc.lineno or 1}: {exc.msg}{shown}"
