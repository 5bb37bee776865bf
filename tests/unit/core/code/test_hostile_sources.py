"""What reading a source costs is bounded whatever the source: counted in calls made and bytes held, never in time."""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from dspy_service_core.code import source_text
from dspy_service_core.code.metric_source import read_metric
from dspy_service_core.code.signature_source import read_signature
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.programs.program_source import ProgramText, read_program
from hostile_sources import CLASSES, FORMS, PROGRAMS, TEXTS


def read_one_file(code: str) -> object:
    return read_program(ProgramText(code))


READERS: dict[str, Callable[[str], object]] = {
    "signature": read_signature,
    "metric": read_metric,
    "program": read_one_file,
}
CASES = [(reader, form) for reader in READERS for form in FORMS if reader == "program" or form not in PROGRAMS]
CALLS_A_CHARACTER = 60
MOST_BYTES = 48_000_000
MOST_SHOWN = 2000
ONCE, TWICE = 1_500, 3_000
"""Characters. What grows in line between these is within the bounds at the longest that is parsed, too."""
COSTLIEST = ("ligatures",)
"""Tried at that length itself."""


def calls(read: Callable[[str], object], code: str) -> int:
    """Every function called, and every step of a generator or of one of C's."""
    count = 0

    def counted(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        refusal(read, code)
    finally:
        sys.setprofile(before)
    return count


def peak(read: Callable[[str], object], code: str) -> int:
    """Without the collector, which comes when other tests' objects call it, and moves the peak."""
    gc.disable()
    tracemalloc.start()
    try:
        refusal(read, code)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def beyond_parsing(read: Callable[[str], object], code: str) -> int:
    """Bytes: what the parser itself takes grows in steps. The least of three measurements each, since threads that
    other tests have left in this process allocate too."""
    parsing, reading = (
        min(peak(each, code) for _ in range(3)) for each in (lambda text: source_text.parse(text, "code"), read)
    )
    return reading - parsing


def refusal(read: Callable[[str], object], code: str) -> str:
    try:
        read(code)
    except UnusableRequest as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize("form", COSTLIEST)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_parsed_costs_no_more_than_the_bounds(reader: str, form: str) -> None:
    """So much is parsed whatever it holds. (The metric's reader keeps nothing of it.)"""
    code = FORMS[form](source_text.MAX_SOURCE_TOKENS)[: source_text.MAX_SOURCE_TOKENS]

    assert calls(READERS[reader], code) < CALLS_A_CHARACTER * source_text.MAX_SOURCE_TOKENS
    assert reader == "metric" or peak(READERS[reader], code) < MOST_BYTES


@pytest.mark.parametrize(("reader", "form"), CASES)
def test_twice_the_source_costs_twice_as_much(reader: str, form: str) -> None:
    read = READERS[reader]
    refusal(read, FORMS[form](100))  # what is imported and cached at first is no part of it
    short, long = FORMS[form](ONCE), FORMS[form](TWICE)
    once, twice = calls(read, short), calls(read, long)

    assert twice < 1.1 * once * len(long) / len(short) + 100
    assert twice < CALLS_A_CHARACTER * len(long)


@pytest.mark.parametrize(("reader", "form"), [case for case in CASES if case[0] != "metric"])
def test_twice_the_source_holds_twice_as_much(reader: str, form: str) -> None:
    read = READERS[reader]
    refusal(read, FORMS[form](100))
    once, twice = (beyond_parsing(read, FORMS[form](length)) for length in (ONCE, TWICE))

    assert twice < 2.5 * max(once, 0) + 100_000


@pytest.mark.parametrize(("reader", "form"), CASES)
def test_the_longest_source_costs_no_more_than_the_bounds(reader: str, form: str) -> None:
    code = FORMS[form](source_text.MAX_SOURCE_CHARACTERS)[: source_text.MAX_SOURCE_CHARACTERS]

    assert peak(READERS[reader], code) < MOST_BYTES
    assert len(refusal(READERS[reader], code)) < MOST_SHOWN


def test_at_least_forty_forms_are_tried() -> None:
    assert len(CLASSES) >= 20
    assert len(PROGRAMS) >= 20
    assert len(TEXTS) >= 40


BOUNDS = {
    "length": ("#" * (source_text.MAX_SOURCE_CHARACTERS + 1), "at most 262144 are allowed"),
    "tokens": ("a\n" * 20_000, "has more than 30000 words, numbers and signs"),
    "tokens without spaces": ("1or" * 16_000 + "1", "has more than 30000 words, numbers and signs"),
    "fields of f-strings": ("f'" + "{a}" * 2001 + "'", "2001 opening braces; at most 2000 are allowed"),
    "fields of raw f-strings": ("RF'" + "{a}" * 2001 + "'", "2001 opening braces; at most 2000 are allowed"),
    "combining marks": ("a" + "\u0300\u0323" * 16, "more than 30 combining marks in a row"),
    "marks that fall apart": ("a" + "\u0f73\uff9e" * 16, "more than 30 combining marks in a row"),
}


@pytest.mark.parametrize(("code", "words"), BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize("reader", READERS)
def test_a_refusal_names_the_bound_and_the_field(reader: str, code: str, words: str) -> None:
    said = refusal(READERS[reader], code)

    assert words in said
    assert said.startswith(f"{reader}_code ")


def test_within_the_bounds_a_source_is_read_as_ever() -> None:
    prose = "'''" + "Antwort für die Kundschaft: שָׁלוֹם, สวัสดี, 語. " * 200 + "'''\n"
    code = f"{prose}class Ticket(dspy.Signature):\n    te\u0301xt: str = dspy.InputField()\n"

    assert read_signature(code).name == "Ticket"
    assert read_metric(prose + "DATA = " + repr([{"a": 1}] * 2500) + "\ndef metric(gold, pred): ...").name == "metric"


def test_a_ladder_of_diamonds_is_read_like_one_diamond() -> None:
    found = read_signature(CLASSES["a ladder of diamonds"](9_000))

    assert (set(found.inputs), found.outputs) == ({"x", "l", "r"}, ())


def test_quick_counts_all_sources_together() -> None:
    half = "a" * (source_text.QUICK_CHARACTERS // 2)

    assert source_text.quick(half, half, None)
    assert not source_text.quick(half, half, "a")
