"""What the demo optimizes: its own tickets, or the user's table, as a payload of `POST /run`. Effects: reads files."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from dspy_service import UnusableDataset, build_payload, read_rows
from dspy_service_local.demo.guess import field_names, metric_code, signature_code

SEED = 7
SPLIT = (0.5, 0.2, 0.3)
"""A large test split, so that the two scores at the end tell more than chance."""
OPTIMIZER = "miprov2"
_THREADS = 8
_TICKETS = "tickets.jsonl"
_ROUTE = "Route a customer's message of a bike-share operator to the team that handles it."

OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "miprov2": {"auto": "light", "num_threads": _THREADS, "max_labeled_demos": 40, "max_bootstrapped_demos": 8},
    "gepa": {"max_metric_calls": 1500, "reflection_minibatch_size": 8, "num_threads": _THREADS},
    "bootstrapfewshot": {"max_labeled_demos": 40, "max_bootstrapped_demos": 8},
}
"""Settings for the optimizers that the demo is shown with; others run with their own defaults."""


@dataclass(frozen=True)
class Task:
    """What the user chose on the command line; None is the demo's own."""

    dataset: Path | None = None
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("team",)
    rows: int | None = None
    signature: Path | None = None
    metric: Path | None = None
    optimizer: str = OPTIMIZER


def payload_of(task: Task, model: Mapping[str, Any]) -> dict[str, Any]:
    rows = _rows(task)
    _check_columns(task, rows[0])
    inputs, outputs = field_names(task.inputs), field_names(task.outputs)
    instruction = "" if task.dataset else _ROUTE
    return build_payload(
        signature=task.signature or signature_code(rows, inputs, outputs, instruction),
        metric=task.metric or metric_code(list(outputs)),
        rows=rows,
        inputs=inputs,
        outputs=outputs,
        optimizer=task.optimizer,
        optimizer_kwargs=OPTIMIZERS.get(task.optimizer.lower(), {}),
        model=model,
        reflection_model=model if task.optimizer.rpartition(".")[2].lower() == "gepa" else None,
        split=SPLIT,
        seed=SEED,
    )


def _check_columns(task: Task, row: Mapping[str, Any]) -> None:
    if missing := [column for column in (*task.inputs, *task.outputs) if column not in row]:
        raise UnusableDataset(f"{task.dataset} has no column '{missing[0]}'; it has: {', '.join(row)}.")


def _rows(task: Task) -> list[dict[str, Any]]:
    """Files are often sorted by label, so fewer rows than there are is a draw from all of them, not the first."""
    if task.dataset:
        rows = read_rows(task.dataset)
    else:
        with resources.as_file(resources.files(__package__).joinpath(_TICKETS)) as path:
            rows = read_rows(path)
    if task.rows is None or task.rows >= len(rows):
        return rows
    kept = sorted(random.Random(SEED).sample(range(len(rows)), task.rows))
    return [rows[i] for i in kept]
