"""`--matrix` runs every cell, and prints the table of them; without it a fixed sample is run."""

import json
from collections import defaultdict

import pytest

_SIGNS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--matrix"):
        return
    table: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome, sign in _SIGNS.items():
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call" and "test_matrix.py::test_every_cell[" in report.nodeid:
                optimizer, _, situation = report.nodeid.rpartition("[")[2].rstrip("]").partition(" | ")
                table[situation][optimizer] = sign
    columns = sorted({name for cells in table.values() for name in cells})
    terminalreporter.write_line(f"\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for situation, cells in table.items():
        terminalreporter.write_line(f"| {situation} | {' | '.join(cells.get(name, '') for name in columns)} |")
    _budgets(terminalreporter)


def _budgets(terminalreporter: pytest.TerminalReporter) -> None:
    """What was said of the whole job, what that took, and what a job took that had a budget."""
    head = "optimizer | metric calls said | took | model calls said | took | budget | cap | ended by | took"
    terminalreporter.write_line(f"\n| {head} |\n|{'---|' * 9}")
    held = []
    for report in terminalreporter.stats.get("passed", ()):
        found = dict(report.user_properties).get("budget")
        if report.when != "call" or not isinstance(found, str):
            continue
        told = json.loads(found)
        optimizer, _, kind = report.nodeid.rpartition("[")[2].rstrip("]").partition(" | ")
        whole = [told["whole"][name] for name in ("metric_calls", "model_calls")]
        held += [its["least"] <= its["actual"] <= (its["most"] or its["actual"]) for its in whole]
        said = [f"{its['least']} to {its['most']} | {its['actual']}" for its in whole]
        took = f"{told[kind]:g}" if kind in told else "-"
        cells = (optimizer, *said, kind, f"{float(told['cap']):g}", told["hit"] or "itself", took)
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
    if held:
        terminalreporter.write_line(f"{sum(held)} of {len(held)} actual numbers lie within what was said.")
