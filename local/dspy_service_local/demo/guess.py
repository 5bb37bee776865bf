"""Writes a signature and a metric for a table of which nothing is known but its columns.

Types come from the values: few distinct short ones become a `Literal`. The metric is an exact match that forgives
case, spaces and a full stop; of answers that end in `#### 42` it compares that number. Both are plain source, shown
to the user and sent like anybody's own.
"""

import json
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
MOST_LABELS = 100
_LONGEST_LABEL = 60
_ROWS_PER_LABEL = 2
"""With fewer rows for each distinct value, a column holds texts and not labels."""

_SIGNATURE = '''\
from typing import Literal

import dspy


class Task(dspy.Signature):
    """{instruction}"""

{fields}
'''
_METRIC = '''\
import re

import dspy

FIELDS = {fields}


def _answer(value):
    """What is compared: the number after ####, or the text without case, surplus spaces and full stop."""
    text = str(value).strip().casefold()
    if "####" in text:
        return re.sub(r"[^0-9.-]", "", text.rpartition("####")[2]).rstrip(".")
    return " ".join(text.split()).rstrip(".")


def _given(value, right):
    """Where the right answer is a number, the last number of the given one counts."""
    numbers = re.findall(r"-?[0-9][0-9,]*(?:[.][0-9]+)?", str(value))
    if "####" in str(right) and numbers:
        return numbers[-1].replace(",", "")
    return _answer(value)


def metric(gold, pred, trace=None, pred_name=None, pred_trace=None):
    wrong = [f for f in FIELDS if _given(getattr(pred, f, ""), gold[f]) != _answer(gold[f])]
    said = [f"{{f}} must be '{{_answer(gold[f])}}', not '{{_given(getattr(pred, f, ''), gold[f])}}'." for f in wrong]
    return dspy.Prediction(score=1 - len(wrong) / len(FIELDS), feedback=" ".join(said) or "Correct.")
'''


def field_names(columns: Sequence[str]) -> dict[str, str]:
    """Field to column: a column's name made a Python name."""
    return {_field(column): column for column in columns}


def _field(column: str) -> str:
    name = re.sub(r"\W+", "_", column.strip()).strip("_") or "field"
    name = f"field_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) else name


def signature_code(
    rows: Sequence[Row], inputs: Mapping[str, str], outputs: Mapping[str, str], instruction: str = ""
) -> str:
    asked, answered = ", ".join(inputs), ", ".join(outputs)
    read = [f"    {name}: str = dspy.InputField()" for name in inputs]
    written = [f"    {name}: {_type(rows, column)} = dspy.OutputField()" for name, column in outputs.items()]
    text = instruction or f"Given {asked}, answer with {answered}."
    return _SIGNATURE.format(instruction=text, fields="\n".join([*read, *written]))


def _type(rows: Sequence[Row], column: str) -> str:
    values = [row[column] for row in rows if row.get(column) is not None]
    for kind in (bool, int, float):
        if values and all(type(value) is kind for value in values):
            return kind.__name__
    labels = sorted({str(value) for value in values})
    return f"Literal[{', '.join(map(json.dumps, labels))}]" if _are_labels(labels, len(values)) else "str"


def _are_labels(labels: Sequence[str], rows: int) -> bool:
    few = 1 < len(labels) <= MOST_LABELS and rows >= _ROWS_PER_LABEL * len(labels)
    return few and all(0 < len(label) <= _LONGEST_LABEL and label.isprintable() for label in labels)


def metric_code(outputs: Sequence[str]) -> str:
    return _METRIC.format(fields=json.dumps(list(outputs)))
