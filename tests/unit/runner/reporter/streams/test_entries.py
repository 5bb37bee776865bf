import orjson
import pytest
from hypothesis import given, strategies as st

from deep_json import DEPTHS, nested
from dspy_service_core.records.events import FIGURES, MAX_LOG_MESSAGE, MAX_NAME
from dspy_service_core.records.record import document
from dspy_service_runner.redaction import MARK, Redactor
from dspy_service_runner.reporter.streams.entries import MAX_METRICS, EntryMaker, reading
from dspy_service_runner.reporter.streams.optimizer_files import read_progress
from dspy_service_runner.reporter.streams.tail import Line

NOW = "2026-02-02T00:00:00.000Z"
THEN = "2026-01-01T00:00:00.000Z"
KEY = "sk-canary-0123456789"
MAKER = EntryMaker(Redactor([KEY]))
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


def line(content: bytes | None) -> Line:
    return Line(content, 5, 6)


def entry(**fields: object) -> bytes:
    return orjson.dumps({"timestamp": THEN, "level": "INFO", "logger": "dspy", "message": "m"} | fields)


LOGS: list[tuple[bytes, dict[str, str]]] = [
    (entry(), {}),
    (entry(extra=1), {}),
    (entry(message=f"key {KEY}!"), {"message": f"key {MARK}!"}),
    (entry(logger=KEY, level=KEY), {"logger": MARK, "level": MARK}),
    (entry(message=None), {"message": ""}),
    (entry(message=["a"]), {"message": ""}),
    (entry(timestamp="yesterday"), {"timestamp": NOW}),
    (entry(timestamp=5), {"timestamp": NOW}),
    (entry(level=7, logger={}), {"level": "INFO", "logger": ""}),
    (b"plain print", {"timestamp": NOW, "logger": "", "message": "plain print"}),
    (b"[1]", {"timestamp": NOW, "logger": "", "message": "[1]"}),
    (b"\xff\xfe", {"timestamp": NOW, "logger": "", "message": "\ufffd\ufffd"}),
    (b'{"message": "\\ud800"}', {"timestamp": NOW, "logger": "", "message": "?"}),
    (b'{"message": "a", "x": NaN}', {"timestamp": NOW, "logger": "", "message": "a"}),
]


@pytest.mark.parametrize(("content", "differs"), LOGS)
def test_log_lines(content: bytes, differs: dict[str, str]) -> None:
    expected = {"timestamp": THEN, "level": "INFO", "logger": "dspy", "message": "m"} | differs
    assert document(MAKER.log(line(content), NOW)) == expected


def test_a_long_message_is_cut_and_says_so_and_keeps_no_half_of_a_key() -> None:
    message = "x" * (MAX_LOG_MESSAGE - 60) + KEY * 10
    found = MAKER.log(line(entry(message=message)), NOW).message
    assert len(found.encode()) <= MAX_LOG_MESSAGE
    assert "bytes cut]" in found
    assert "canary" not in found


def test_a_line_beyond_all_measure_leaves_a_word() -> None:
    assert "5 bytes was dropped" in MAKER.log(line(None), NOW).message


def event(**fields: object) -> bytes:
    return orjson.dumps({"timestamp": THEN, "event": "e", "metrics": {"a": 1}} | fields)


EVENTS: list[tuple[bytes | None, dict[str, object] | None]] = [
    (event(), {}),
    (event(metrics={"a": KEY, KEY: 1}), {"metrics": {"a": MARK, MARK: 1}}),
    (event(metrics=None), {"metrics": {}}),
    (event(metrics=[1]), {"metrics": {}}),
    (event(metrics={"a": "x" * MAX_METRICS}), {"metrics": {}}),
    (event(event=KEY), {"event": MARK}),
    (event(timestamp=None), {"timestamp": NOW}),
    (b'{"event": "e", "metrics": {"a": NaN, "b": Infinity}}', {"timestamp": NOW, "metrics": {"a": None, "b": None}}),
    (b'{"event": "e", "metrics": {"a": 1%b}}' % (b"0" * 400), {"timestamp": NOW, "metrics": {"a": None}}),
    (event(event=5), None),
    (b"not json", None),
    (b"[]", None),
    (b"\xff", None),
    (DEEP, None),
    (None, None),
]


@pytest.mark.parametrize(("content", "differs"), EVENTS)
def test_event_lines(content: bytes | None, differs: dict[str, object] | None) -> None:
    found = MAKER.event(line(content), NOW)
    if differs is None:
        assert found is None
    else:
        assert found is not None
        assert orjson.loads(found) == {"timestamp": THEN, "event": "e", "metrics": {"a": 1}} | differs


CALLS: list[tuple[bytes | None, bytes | None]] = [
    (b'{"key":"k", "value": 1.50}', b'{"key":"k", "value": 1.50}'),
    (b'{"key":"k","value":"%b"}' % KEY.encode(), b'{"key":"k","value":"[redacted]"}'),
    (b'{"key":"k","value":"\\u0073k-canary-0123456789"}', b'{"key":"k","value":"[redacted]"}'),
    (b'{"key":"k"', None),
    (b"[]", None),
    (b'{"a": NaN}', None),
    *((b'{"a":%b}' % nested(depth), None) for depth in DEPTHS),
    (None, None),
]


@pytest.mark.parametrize(("content", "expected"), CALLS)
def test_call_lines_stay_as_they_are_but_for_keys(content: bytes | None, expected: bytes | None) -> None:
    assert MAKER.call(line(content)) == expected


NO_TIMES = [
    *("9999-99-99T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:01:00Z", "2026-01-01T00:00:60Z"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "1969-12-31T23:59:59Z"),
    *("2026-02-03T00:00:00.001Z", "२०२६-01-01T00:00:00Z"),
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_between_the_epoch_and_tomorrow_becomes_now(text: str) -> None:
    assert MAKER.log(line(entry(timestamp=text)), NOW).timestamp == NOW
    assert orjson.loads(MAKER.event(line(event(timestamp=text)), NOW) or b"")["timestamp"] == NOW
    progress = read_progress(orjson.dumps({"stage": "Running", "startedAt": text}), reading(MAKER.redactor, NOW))
    assert progress is not None
    assert progress.started_at == NOW


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2026-02-02T23:59:59.999999999Z", "2024-02-29T12:00:00.5Z"])
def test_a_time_stays_as_it_is(text: str) -> None:
    assert MAKER.log(line(entry(timestamp=text)), NOW).timestamp == text


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_under_the_services_own_names_nothing_passes_but_numbers(name: str) -> None:
    for wrong in ("DROP", "5", True, [1], {"a": 1}, "\x1b[2J"):
        found = MAKER.event(line(event(metrics={name: wrong, "mine": wrong})), NOW)
        assert orjson.loads(found or b"")["metrics"] == {"mine": wrong}
    for right in (5, 0.5, -1, None):
        found = MAKER.event(line(event(metrics={name: right})), NOW)
        assert orjson.loads(found or b"")["metrics"] == {name: right}


def test_an_events_name_becomes_the_status_message_and_is_one_visible_line() -> None:
    found = MAKER.event(line(event(event="a\nb\x1b]52;c;AAAA\x07\x9b\u202e")), NOW)
    assert orjson.loads(found or b"")["event"] == r"a\nb\x1b]52;c;AAAA\x07\x9b\u202e"
    long = orjson.loads(MAKER.event(line(event(event="\x1b" * 250)), NOW) or b"")["event"]
    assert len(long) <= MAX_NAME


@given(st.binary(max_size=200))
def test_no_line_breaks_anything(content: bytes) -> None:
    content = content.replace(b"\n", b"")
    orjson.dumps(document(MAKER.log(line(content), NOW)))
    MAKER.event(line(content), NOW)
    MAKER.call(line(content))


def candidate(**fields: object) -> bytes:
    change = {"instructions": "Better.", "demos": [{"text": "a"}]}
    told = {"parents": [1], "at_call": 7, "score": 50.0, "rows": 6, "accepted": True, "changes": {"p": change}}
    return orjson.dumps(told | fields)


CANDIDATES: list[tuple[bytes, dict[str, object] | None]] = [
    (candidate(), {}),
    (candidate(extra=1), {}),
    (candidate(score=None), {"score": None}),
    (candidate(score="high"), {"score": None}),
    (candidate(parents=[1, "2", -3, 4]), {"parents": [1, 4]}),
    (candidate(changes={"p": {"instructions": f"say {KEY}"}}), {"changes": {"p": {"instructions": f"say {MARK}"}}}),
    (candidate(rows=-1), None),
    (candidate(accepted="yes"), None),
    (candidate(changes=[]), None),
    (candidate(parents=None), None),
    (b"[]", None),
    (b"print", None),
    (DEEP, None),
]


@pytest.mark.parametrize(("content", "differs"), CANDIDATES)
def test_candidates(content: bytes, differs: dict[str, object] | None) -> None:
    found = MAKER.candidate(line(content), NOW)
    expected = None if differs is None else orjson.loads(candidate()) | differs
    assert (found and orjson.loads(found)) == expected
    assert MAKER.candidate(line(None), NOW) is None
