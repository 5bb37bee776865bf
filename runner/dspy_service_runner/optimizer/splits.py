"""Rows to examples, and examples to train, validation and test: the contract's rule, to the letter."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_service_core.resource.job import Columns, Split
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


def split_rows(rows: Sequence[Mapping[str, Any]], columns: Columns, split: Split, seed: int) -> Splits:
    examples = [_example(row, columns, number) for number, row in enumerate(rows)]
    if split.shuffle:
        random.Random(seed).shuffle(examples)
    wanted = counts(len(examples), split.fractions)
    until_val = wanted.train + wanted.val
    splits = Splits(examples[: wanted.train], examples[wanted.train : until_val], examples[until_val:])
    if not splits.test:
        raise JobFailed("InvalidSplit", f"The test split of {len(examples)} rows is empty: give it a larger share.")
    return splits


def _example(row: Mapping[str, Any], columns: Columns, number: int) -> dspy.Example:
    mapped = {**columns.inputs, **columns.outputs}
    for field, column in mapped.items():
        if column not in row:
            raise JobFailed("InvalidDataset", f"dataset[{number}] lacks the column '{column}' of field '{field}'.")
    fields = {field: row[column] for field, column in mapped.items()}
    return dspy.Example(**fields).with_inputs(*columns.inputs)
