"""Splits examples into train, validation and test, exactly by the contract's rules."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_service_core.records.run import SplitCounts
from dspy_service_core.resource.spec.dataset import Split
from dspy_service_core.resource.splits import counts, in_column, misplaced, said_by
from dspy_service_runner.optimizer.failures import JobFailed


@dataclass(frozen=True)
class Splits:
    train: list[dspy.Example]
    val: list[dspy.Example]
    test: list[dspy.Example]

    @property
    def counts(self) -> SplitCounts:
        return SplitCounts(len(self.train), len(self.val), len(self.test))


def split_examples(
    examples: Sequence[dspy.Example],
    rows: Sequence[Mapping[str, Any]],
    split: Split,
    seed: int,
    *,
    optimizes: bool = True,
) -> Splits:
    """`rows` are those that the examples were made from, in the same order. Where nothing is optimized, no row is
    trained on, unless a column says so."""
    if split.column:
        splits = _by_column(examples, rows, split.column)
    elif optimizes:
        splits = _by_shares(examples, split, seed)
    else:
        splits = Splits([], [], list(examples))
    if not splits.test:
        raise _empty("test", split, splits)
    return splits


def need_training_rows(splits: Splits, split: Split) -> None:
    if not splits.train:
        raise _empty("train", split, splits)


def _by_shares(given: Sequence[dspy.Example], split: Split, seed: int) -> Splits:
    examples = list(given)
    if split.shuffle:
        random.Random(seed).shuffle(examples)
    wanted = counts(len(examples), split.fractions)
    until_val = wanted.train + wanted.val
    return Splits(examples[: wanted.train], examples[wanted.train : until_val], examples[until_val:])


def _by_column(examples: Sequence[dspy.Example], rows: Sequence[Mapping[str, Any]], column: str) -> Splits:
    for number, problem in misplaced(rows, column):
        raise JobFailed("InvalidSplit", f"dataset[{number}] {problem}.")
    by_name: dict[str, list[dspy.Example]] = {"train": [], "val": [], "test": []}
    for example, row in zip(examples, rows, strict=True):
        by_name[said_by(row, column) or ""].append(example)
    return Splits(**by_name)


def _empty(name: str, split: Split, splits: Splits) -> JobFailed:
    train = name == "train"
    share = "give it a larger share, or more rows" if train else "give it a larger share"
    cure = in_column(name, split.column) if split.column else share
    which = "training split" if train else f"test split of {splits.counts.total} rows"
    return JobFailed("InvalidSplit", f"The {which} is empty: {cure}.")
