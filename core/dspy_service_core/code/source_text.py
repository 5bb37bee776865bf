"""Python source of users, parsed and never run: where `signature_source` and `metric_source` begin.

`ast.parse` holds the interpreter while it works, and what it costs is not told by the length alone: a token takes about
a kilobyte and five microseconds, a field of an f-string is copied together with the text around it, and combining
marks are sorted by comparing neighbours. So all three are counted first, in one pass each that no text makes longer.
They are counted over the whole text, strings and comments included: where those end is the parser's to know.
Python's own limits stop what is nested (100 indentations, 200 brackets, some thousand operators).
"""

import ast
import re
import unicodedata
import warnings
from itertools import islice

from dspy_service_core.errors import UnusableRequest

MAX_SOURCE_CHARACTERS = 256 * 1024
"""A longer text is no signature and no metric."""
MAX_SOURCE_TOKENS = 30_000
"""Names, numbers, words, signs and line ends. Parsing so many takes about 30 MB and 0.2 s; a module of 3,000 lines has
about as many."""
MAX_FSTRING_FIELDS = 2_000
"""Opening braces, where the text has an f-string at all. Python 3.11 copies an f-string for each of its fields, later
versions what follows it in the file."""
MAX_COMBINING_MARKS = 30
"""In a row: the bound of Unicode's Stream-Safe Text Format (UAX #15), which no word of any language comes near."""
QUICK_CHARACTERS = 8 * 1024
"""What is no longer than this is parsed in milliseconds, whatever it holds, so also on an event loop."""

_TOKEN = re.compile(r"\d+|[^\W\d]+|[^\w \t]")
"""Digits for themselves: `1or1or1` is one word to look at and five tokens to Python."""
_FSTRING = re.compile(r"\b(?:[ft]r?|r[ft])[\"']", re.IGNORECASE)
_SHOWN = 5


def parse(code: str, field: str) -> ast.Module:
    """`field` is what the sender calls the text."""
    if problem := costly(code):
        raise UnusableRequest(f"{field} {problem}.")
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


def costly(code: str) -> str:
    """Why the text is not parsed; empty for what may be."""
    if len(code) > MAX_SOURCE_CHARACTERS:
        return f"is {len(code)} characters long; at most {MAX_SOURCE_CHARACTERS} are allowed"
    if len(code) > MAX_SOURCE_TOKENS and _has_more_tokens(code):
        return (
            f"has more than {MAX_SOURCE_TOKENS} words, numbers and signs, and no more are allowed: "
            "put data into the dataset, and leave out what is not used"
        )
    if (fields := code.count("{")) > MAX_FSTRING_FIELDS and _FSTRING.search(code):
        return (
            f"has f-strings and {fields} opening braces; at most {MAX_FSTRING_FIELDS} are allowed: "
            "use str.join or str.format"
        )
    if not code.isascii() and _marks_in_a_row(code):
        return f"has more than {MAX_COMBINING_MARKS} combining marks in a row; leave them out"
    return ""


def quick(*codes: str | None) -> bool:
    """Whether all of them together are parsed in milliseconds."""
    return sum(len(code) for code in codes if code) <= QUICK_CHARACTERS


def listed(names: list[str]) -> str:
    """For a message: of thousands of names the first few, each cut."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name[:80]}'" for name in names[:_SHOWN]) + more


def _has_more_tokens(code: str) -> bool:
    return next(islice(_TOKEN.finditer(code), MAX_SOURCE_TOKENS, None), None) is not None


def _marks_in_a_row(code: str) -> bool:
    marks = "".join(map(re.escape, filter(_begins_with_mark, set(code))))
    return bool(marks) and re.search(f"[{marks}]{{{MAX_COMBINING_MARKS + 1}}}", code) is not None


def _begins_with_mark(character: str) -> bool:
    """Some characters are no marks themselves and fall apart into marks only."""
    return not character.isascii() and unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def _syntax_error(exc: SyntaxError, field: str) -> str:
    text = (exc.text or "").strip()
    shown = f": {text[:80]}" if text else "."
    return f"{field} has a syntax error on line {exc.lineno or 1}: {exc.msg[:200]}{shown}"
