"""The pages as text: their fenced blocks, and the command lines in them with the output that is shown below each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("usage_guide/*.md")])
FENCE = re.compile(r"^ *(?P<mark>`{3,})(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *(?P=mark) *$", re.M | re.S)
_PROMPT = "$ "


@dataclass(frozen=True)
class Shown:
    command: str
    output: str


def blocks(page: str, *languages: str) -> list[str]:
    return [found["text"] for found in FENCE.finditer(page) if found["language"] in languages]


def command_lines(page: str) -> list[str]:
    """Of shell blocks, continued lines joined, comments left out."""
    plain = [line for block in blocks(page, "bash", "sh") for line in _joined(block)]
    lines = [*plain, *(shown.command for shown in sessions(page))]
    return [line for line in (re.sub(r"\s+#.*$", "", line) for line in lines) if line and not line.startswith("#")]


def sessions(page: str) -> Iterator[Shown]:
    """Of blocks that show what a command answers."""
    for block in blocks(page, "console"):
        for part in re.split(rf"^{re.escape(_PROMPT)}", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield Shown(command, output.replace("\n", "") if output.startswith("{") else output)


def _joined(block: str) -> list[str]:
    return [line.strip() for line in re.sub(r"\\\n", " ", block).splitlines()]
