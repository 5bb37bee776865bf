"""The demo's dataset: real enough to learn from, and fair."""

import json
import re
from collections import Counter
from importlib import resources
from itertools import pairwise

import pytest

import dspy_service_local.demo
from dspy_service_local.demo.model.text import similarities, words


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    text = resources.files(dspy_service_local.demo).joinpath("tickets.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_there_are_enough_rows_of_two_columns(rows: list[dict[str, str]]) -> None:
    assert len(rows) >= 200
    assert all(list(row) == ["text", "team"] and all(row.values()) for row in rows)


def test_the_teams_are_balanced(rows: list[dict[str, str]]) -> None:
    counts = Counter(row["team"] for row in rows)
    assert 6 <= len(counts) <= 8
    assert max(counts.values()) <= 1.5 * min(counts.values())


def test_no_message_comes_twice_or_nearly(rows: list[dict[str, str]]) -> None:
    texts = [row["text"] for row in rows]
    assert len({" ".join(words(text)) for text in texts}) == len(texts)
    for at, text in enumerate(texts[:-1]):
        assert max(similarities(text, texts[at + 1 :])) < 0.8, text


def test_messages_are_not_filled_from_a_template(rows: list[dict[str, str]]) -> None:
    starts = Counter(tuple(words(row["text"])[:4]) for row in rows)
    assert max(starts.values()) <= 3
    lengths = sorted(len(row["text"]) for row in rows)
    assert lengths[-7] > 4 * lengths[7]


def test_neighbours_in_the_file_are_not_sorted_by_team(rows: list[dict[str, str]]) -> None:
    same = sum(a["team"] == b["team"] for a, b in pairwise(rows))
    assert same < len(rows) / 3


def test_no_message_names_its_team_as_the_label_does(rows: list[dict[str, str]]) -> None:
    named = [row for row in rows if re.search(rf"\b{row['team']}\b", row["text"], re.IGNORECASE)]
    assert len(named) < len(rows) / 8
