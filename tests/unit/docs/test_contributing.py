"""CONTRIBUTING.md names every room that there is, and no file that there is not: newcomers find their way by it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PARTS = {
    "core": "core/dspy_service_core",
    "api": "api/dspy_service_api",
    "operator": "operator/dspy_service_operator",
    "runner": "runner/dspy_service_runner",
    "runner/optimizer": "runner/dspy_service_runner/optimizer",
    "runner/reporter": "runner/dspy_service_runner/reporter",
    "local": "local/dspy_service_local",
    "local/apiserver": "local/dspy_service_local/apiserver",
    "local/node": "local/dspy_service_local/node",
    "client": "client/dspy_service",
}
SOURCES = [
    path.relative_to(ROOT) for part in PARTS.values() for path in (ROOT / part).rglob("*.py") if "/." not in str(path)
]


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def rooms(part: str) -> Iterator[str]:
    """Folders with modules, but for those that have a row of their own."""
    for folder in (ROOT / PARTS[part]).iterdir():
        if (folder / "__init__.py").is_file() and f"{part}/{folder.name}" not in PARTS:
            yield folder.name


@pytest.mark.parametrize("part", PARTS)
def test_every_room_is_named(part: str) -> None:
    [row] = re.findall(rf"^\| {re.escape(part)} \|(.*)\|$", section("The rooms"), re.MULTILINE)
    assert set(rooms(part)) <= quoted(row)


def leads_somewhere(name: str) -> bool:
    """The parts of a path that is named in short, in their order: `api/http/app.py`, `streams/`."""
    wanted = name.rstrip("/").split("/")
    for path in SOURCES:
        left = iter(path.parts)
        if all(part in left for part in wanted) and (name.endswith("/") or path.name == wanted[-1]):
            return True
    return False


def test_every_file_on_the_ways_exists() -> None:
    ways = {name for name in quoted(section("Two ways through the rooms")) if re.fullmatch(r"[\w/]+(\.py|/)", name)}
    assert len(ways) > 40
    assert [name for name in sorted(ways) if not leads_somewhere(name)] == []


def test_the_look_for_files_can_fail() -> None:
    assert leads_somewhere("api/http/routes/run.py")
    assert leads_somewhere("runner/optimizer/strategies/")
    assert not leads_somewhere("api/http/routes/never.py")
    assert not leads_somewhere("operator/http/app.py")
