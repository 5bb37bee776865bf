"""Parses users' Python source without running it, for `signature_source` and `metric_source`.

`ast.parse` holds the interpreter lock while it works, and the length of a text does not tell the cost: a token takes
about a kilobyte and five microseconds, each field of an f-string copies the text around it, and combining marks are
sorted by comparing neighbours. So tokens, f-string fields and marks are counted first, each in one linear pass. Strings
and comments are counted too, because only the parser knows where they end. Python's own limits bound nesting (100
indentations, 200 brackets, some thousand operators).
"""

import ast
import re
import unicodedata
import warnings
from itertools import islice

from dspy_service_core.errors import UnusableRequest

MAX_SOURCE_CHARACTERS = 256 * 1024
"""Characters that a source may have; no signature or metric needs more."""
MAX_SOURCE_TOKENS = 30_000
"""Names, numbers, words, signs and line ends that a source may have. Parsing so many takes about 30 MB and 0.2 s; a
module of 3,000 lines has about as many."""
MAX_FSTRING_FIELDS = 2_000
"""Opening braces that a source with f-strings may have. For each field, Python 3.11 copies the f-string, and later
versions copy the rest of the file."""
MAX_COMBINING_MARKS = 30
"""Combining marks in a row: the bound of Unicode's Stream-Safe Text Format (UAX #15), far above any real word."""
QUICK_CHARACTERS = 8 * 1024
"""A source of at most this length is parsed in milliseconds, whatever it holds, so an event loop may do it."""

_TOKEN = re.compile(r"\d+|[^\W\d]+|[^\w \t]")
"""Digits count separately: `1or1or1` looks like one word, and Python reads five tokens."""
_FSTRING = re.compile(r"\b(?:[ft]r?|r[ft])[\"']", re.IGNORECASE)
_SHOWN = 5


def parse(code: str, field: str) -> ast.Module:
    """`field` is the sender's name for the source, for messages."""
    if problem := costly(code):
        raise UnusableRequest(f"{field} {problem}.")
    try:
        with warnings.catch_warnings():  # warnings, as about invalid escapes, do not belong in our log
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as exc:
        raise UnusableRequest(_syntax_error(exc, field)) from None
    except ValueError as exc:  # null bytes
        raise UnusableRequest(f"{field} is not Python source: {exc}.") from None
    except (RecursionError, MemoryError):
        raise UnusableRequest(f"{field} is nested too deeply to be parsed.") from None


def costly(code: str) -> str:
    """Why parsing the source would cost too much; empty if it would not."""
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
    """Whether parsing all of these sources takes only milliseconds."""
    return sum(len(code) for code in codes if code) <= QUICK_CHARACTERS


def tokens(code: str) -> int:
    """Names, numbers, words, signs and line ends of the source."""
    return sum(1 for _ in _TOKEN.finditer(code))


def listed(names: list[str]) -> str:
    """The first few names, each cut, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name[:80]}'" for name in names[:_SHOWN]) + more


def _has_more_tokens(code: str) -> bool:
    return next(islice(_TOKEN.finditer(code), MAX_SOURCE_TOKENS, None), None) is not None


def _marks_in_a_row(code: str) -> bool:
    marks = "".join(map(re.escape, filter(_begins_with_mark, set(code))))
    return bool(marks) and re.search(f"[{marks}]{{{MAX_COMBINING_MARKS + 1}}}", code) is not None


def _begins_with_mark(character: str) -> bool:
    """Also for characters that are no marks themselves but decompose into marks."""
    return not character.isascii() and unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def _syntax_error(exc: SyntaxError, field: str) -> str:
    text = (exc.text or "").strip()
    shown = f": {text[:80]}" if text else "."
    return f"{field} has a syntax error on line {exc.lineno or 1}: {exc.msg[:200]}{shown}"
