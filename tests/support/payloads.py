"""Payloads as clients send them: a ticket classifier on rows of the demo's dataset."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import orjson

DATASET = Path(__file__).parents[2] / "local" / "dspy_service_local" / "demo" / "tickets.jsonl"

METRIC = """def metric(gold, pred, trace=None):
    return gold.{output} == pred.{output}
"""


def rows(count: int) -> list[dict[str, Any]]:
    lines = DATASET.read_bytes().splitlines()
    return [orjson.loads(line) for line in islice(cycle(lines), count)]


def signature(row: dict[str, Any]) -> tuple[str, str, str]:
    """Source, input and output field: the dataset's first and last column."""
    source, *_, target = row
    code = (
        f'class Ticket(dspy.Signature):\n    """Route the message to the team that handles it."""\n\n'
        f"    {source}: str = dspy.InputField()\n    {target}: str = dspy.OutputField()\n"
    )
    return code, source, target


def payload(count: int, base_url: str, **changes: Any) -> bytes:
    """One `POST /run` body of `count` rows for a BootstrapFewShot on the model at `base_url`."""
    data = rows(count)
    code, source, target = signature(data[0])
    body = {
        "module_name": "predict",
        "signature_code": code,
        "metric_code": METRIC.format(output=target),
        "optimizer_name": "dspy.BootstrapFewShot",
        "optimizer_kwargs": {"max_bootstrapped_demos": 2, "max_labeled_demos": 4},
        "dataset": data,
        "column_mapping": {"inputs": {source: source}, "outputs": {target: target}},
        "split_fractions": {"train": 0.5, "val": 0.0, "test": 0.5},
        "seed": 7,
        "model_config": {"name": "openai/scripted", "base_url": base_url, "extra": {"api_key": "bench"}},
    }
    return orjson.dumps(body | changes)
