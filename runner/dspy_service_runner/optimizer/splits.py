"""Splits examples into train, validation and test, exactly by the contract's rule."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import dspy

from dspy_service_core.resource.job import Split
from dspy_service_core.resource.splits import Counts, counts
from dspy_service_runner.optimizer.failures import JobFailed


@dataclass(frozen=True)
class Splits:
    train: list[dspy.Example]
    val: list[dspy.Example]
    test: list[dspy.Example]

    @property
    def counts(self) -> Counts:
        return Counts(len(self.train), len(self.val), len(self.test))


def all_test(examples: Sequence[dspy.Example]) -> Splits:
    """For a job that optimizes nothing."""
    return Splits([], [], list(examples))


def split_examples(given: Sequence[dspy.Example], split: Split, seed: int) -> Splits:
    examples = list(given)
    if split.shuffle:
        random.Random(seed).shuffle(examples)
    wanted = counts(len(examples), split.fractions)
    until_val = wanted.train + wanted.val
    splits = Splits(examples[: wanted.train], examples[wanted.train : until_val], examples[until_val:])
    if not splits.test:
        raise JobFailed("InvalidSplit", f"The test split of {len(examples)} rows is empty: give it a larger share.")
    return splits
