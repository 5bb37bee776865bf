"""`--matrix` runs every cell, and prints the table of them; without it a fixed sample is run."""

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
