"""What is different in two texts, word by word.

Lines are compared first, then the words of the lines that differ, so that texts of 100 KB are told apart in
milliseconds; between passages that have next to nothing in common, all of both is what differs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "gone", "new"]
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 4000
_MOST_LINES = 8000


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str


def pieces(before: str, after: str) -> list[Piece]:
    if before == after:
        return [Piece("same", before)] if before else []
    return _joined(_by_lines(before.splitlines(keepends=True), after.splitlines(keepends=True)))


def changed(found: Sequence[Piece]) -> bool:
    return any(piece.kind != "same" for piece in found)


def _by_lines(before: list[str], after: list[str]) -> Iterator[Piece]:
    if len(before) + len(after) > _MOST_LINES:
        yield from (Piece("gone", "".join(before)), Piece("new", "".join(after)))
        return
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        old, new = "".join(before[a:b]), "".join(after[c:d])
        if tag == "equal":
            yield Piece("same", old)
        else:
            yield from _by_words(old, new)


def _by_words(before: str, after: str) -> Iterator[Piece]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if not old or not new or len(old) + len(new) > _MOST_WORDS:
        yield from (Piece("gone", before), Piece("new", after))
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    in_common = sum(block.size for block in matcher.get_matching_blocks())
    if in_common < 0.4 * min(len(old), len(new)):
        yield from (Piece("gone", before), Piece("new", after))
        return
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(old[a:b]))
        else:
            yield from (Piece("gone", "".join(old[a:b])), Piece("new", "".join(new[c:d])))


def _joined(found: Iterator[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in found:
        if not piece.text:
            continue
        if joined and joined[-1].kind == piece.kind:
            joined[-1] = Piece(piece.kind, joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined
