"""Whatever user code says is in the logs, in order, once; whatever it does to its output harms nobody."""

from pathlib import Path

import pytest

from dspy_service_runner.optimizer.user_code.capture import Lines
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

METRIC = """
import logging, os, subprocess, sys, threading, warnings

def once():
{body}

def metric(gold, pred):
    if 'done' not in globals():
        globals()['done'] = True
        once()
    return gold.label == pred.label
"""


def metric(body: str) -> str:
    return METRIC.format(body="\n".join(f"    {line}" for line in body.splitlines()))


PIECES: list[tuple[list[str], list[str]]] = [
    (["one\ntwo\n"], ["one", "two"]),
    (["o", "ne", "\n", "two"], ["one", "two"]),
    (["\r 10%|#", "\r 20%|##", "\r100%|###\n"], ["100%|###"]),
    (["windows\r\nlines\r\n"], ["windows", "lines"]),
    (["cut\r", "\nwindows\n"], ["cut", "windows"]),
    (["\n \n"], []),
    (["x" * 25], ["x" * 25]),
    (["bar 1\rbar 2\rprint after a bar\n"], ["print after a bar"]),
    ([], []),
]


@pytest.mark.parametrize(("pieces", "expected"), PIECES)
def test_pieces_become_lines(pieces: list[str], expected: list[str]) -> None:
    seen: list[str] = []
    lines = Lines(seen.append, limit=20)
    for piece in pieces:
        lines.feed(piece)
    lines.finish()
    assert seen == expected


def test_writers_are_kept_apart() -> None:
    seen: list[str] = []
    lines = Lines(seen.append, limit=100)
    for piece, writer in [("a", 1), ("b", 2), ("a\n", 1), ("b\n", 2)]:
        lines.feed(piece, writer)
    assert seen == ["aa", "bb"]


def test_every_way_of_saying_something_is_captured(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    said = metric(
        """print('printed')
print('to stderr', file=sys.stderr)
sys.stdout.buffer.write(b'as bytes\\n')
os.write(1, b'by descriptor\\n')
print('by the original stream', file=sys.__stdout__)
subprocess.run(['sh', '-c', 'echo by a child; echo complaint >&2'])
if not os.fork():
    print('by a fork')
    logging.error('a record of a fork')
    os._exit(0)
os.wait()
logging.getLogger('mine').info('a record of %d', 1)
warnings.warn('a warning')
threading.Thread(target=lambda: 1/0).start()
try: 1/0
except ZeroDivisionError: logging.exception('caught')
print('lone surrogate \\udc80')
print('\\x1b[92mgreen\\x1b[0m')
print('no line end', end='')"""
    )
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": said}))

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded"
    out, err = folders.messages("stdout"), folders.messages("stderr")
    for line in ("printed", "as bytes", "by descriptor", "by the original stream", "by a child", "by a fork", "green"):
        assert out.count(line) == 1, line
    assert any(line.startswith("lone surrogate") for line in out)
    assert any(line.startswith("no line end") for line in out)
    assert "to stderr" in err
    assert "complaint" in err
    assert "ERROR root: a record of a fork" in err
    assert any("ZeroDivisionError" in line for line in err), "a thread's traceback"
    assert folders.messages("mine") == ["a record of 1"]
    assert any("a warning" in message for message in folders.messages("py.warnings"))
    assert any(m.startswith("caught\nTraceback") and "ZeroDivisionError" in m for m in folders.messages("root"))
    assert any("Average Metric" in message for message in folders.messages("dspy.evaluate.evaluate"))


def test_entries_are_in_order_and_reach_the_container_s_stdout(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    said = metric("for i in range(500):\n    print('line', i)\n    logging.info('record %d', i)")
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": said}))
    process = forge.start(folders)
    assert process.wait() == 0

    mine = [m for m in folders.messages() if m.startswith(("line ", "record "))]
    assert mine == [text for i in range(500) for text in (f"line {i}", f"record {i}")]
    shown = process.stdout.read_text().splitlines()
    assert [line for line in shown if line.startswith("line ")] == [f"line {i}" for i in range(500)]
    assert "INFO root: record 499" in shown
    times = [entry["timestamp"] for entry in folders.lines("logs.jsonl")]
    assert times == sorted(times)


FLOODS = {
    "print": "for i in range(200_000): print('line', i)",
    "log": "for i in range(50_000): logging.info('line %d', i)",
    "descriptor": "for i in range(200_000): os.write(1, b'line\\n')",
    "child": "os.system('yes line | head -n 1000000')",
    "no line end": "for i in range(500_000): print('.', end='')",
    "threads": "ts = [threading.Thread(target=lambda: [print('line', i) for i in range(50_000)]) for _ in range(4)]\n"
    "[t.start() for t in ts]\n[t.join() for t in ts]",
    "one line": "print('x' * 50_000_000)",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_stays_within_its_quota(
    flood: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    quota = 300_000
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric(flood)}))

    result = forge.run(folders, log_quota=quota)

    assert result["outcome"] == "Succeeded"
    assert (folders.out / "logs.jsonl").stat().st_size < quota + 1000
    markers = [m for m in folders.messages("dspy_service") if "quota" in m]
    assert len(markers) == (0 if flood == FLOODS["one line"] else 1)


def test_the_failure_is_logged_even_after_the_quota(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    flood = "def metric(g, p):\n    for i in range(10_000): print('line', i)\n    raise ValueError('the cause')"
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": flood}))

    result = forge.run(folders, log_quota=50_000)

    assert result["message"].startswith("The metric raised ValueError: the cause at line 3")
    assert "Traceback" in folders.messages("dspy_service")[-1]


HARM = {
    "closes sys.stdout": "sys.stdout.close(); sys.stderr.close()",
    "closes the descriptors": "os.close(0); os.close(1); os.close(2)",
    "closes all descriptors": "os.closerange(3, 200)",
    "redirects": "sys.stdout = open(os.devnull, 'w')",
    "removes handlers": "logging.basicConfig(force=True); logging.getLogger('dspy').handlers.clear()",
    "disables logging": "logging.disable(logging.CRITICAL)",
    "leaves a child that prints for ever": "subprocess.Popen(['sh', '-c', 'while :; do echo x; sleep 0.01; done'])",
    "signals itself": "import signal; signal.signal(signal.SIGUSR2, signal.SIG_IGN)",
    "changes folder": "os.chdir('/')",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_what_user_code_does_to_its_output_breaks_nothing(
    harm: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric(harm)}))

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded"
    assert folders.events("optimized_evaluated")
    assert (folders.out / "artifact" / "program.pkl").stat().st_size > 0
