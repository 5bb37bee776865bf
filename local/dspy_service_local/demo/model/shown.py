"""Finds the labelled examples that a prompt for a better instruction shows, in the format of each DSPy optimizer.

| who asks | where the examples are |
|---|---|
| MIPROv2's summary | `examples`: Python's print of `dspy.Example`s |
| MIPROv2's proposal | `task_demos`: `Text: ... / Team: ...` blocks |
| GEPA | `examples_with_feedback`: JSON, the right answer quoted in the feedback |
| SIMBA | `program_inputs` and `oracle_metadata`: JSON |
| InferRules | `examples_text`: blocks under `Input Fields:` and `Output Fields:` |
"""

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_LONGEST_LABEL = 60
_PRINTED = re.compile(r"Example\((\{.*?\})\) \(input_keys=\{([^}]*)\}\)", re.DOTALL)
_BLOCK = re.compile(r"Input Fields:\n(.*?)\n+=+\nOutput Fields:\n(.*?)(?=\n\nInput Fields:|\Z)", re.DOTALL)
_LINE = re.compile(r"^([A-Z][\w ]{0,40}): (.*(?:\n(?![A-Z][\w ]{0,40}: ).*)*)", re.MULTILINE)
_QUOTED = re.compile(r"(?<!\w)[\"'`]([^\"'`\n]{1,60})[\"'`](?!\w)")
_RIGHT = re.compile(r"(?<!in)(?<!not )\b(?:correct|right)\b|score of 1(?:\.0+)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shown:
    text: str
    label: str


def shown_examples(inputs: Mapping[str, str]) -> list[Shown]:
    finders = {
        "examples": _printed,
        "task_demos": _lines,
        "examples_with_feedback": _with_feedback,
        "examples_text": _blocks,
    }
    found = [example for name, find in finders.items() for example in find(inputs.get(name, ""))]
    found += _oracle(inputs.get("program_inputs", ""), inputs.get("oracle_metadata", ""))
    return [example for example in found if 0 < len(example.label) <= _LONGEST_LABEL]


def _printed(text: str) -> Iterator[Shown]:
    for printed, keys in _PRINTED.findall(text):
        with contextlib.suppress(ValueError, SyntaxError):
            row = ast.literal_eval(printed)
            inputs = ast.literal_eval(f"[{keys}]")
            yield _row({k: row[k] for k in inputs if k in row}, {k: v for k, v in row.items() if k not in inputs})


def _row(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Shown:
    """The answer proper is a signature's last output: reasoning comes before it."""
    return Shown(" ".join(map(str, inputs.values())), str([*outputs.values(), ""][-2 if outputs else -1]))


def _lines(text: str) -> Iterator[Shown]:
    for block in re.split(r"\n\n+", text):
        fields = [(name, value.strip()) for name, value in _LINE.findall(block)]
        if len(fields) > 1:
            yield Shown(fields[0][1], fields[-1][1])


def _with_feedback(text: str) -> Iterator[Shown]:
    for shown in _json(text, list):
        inputs, outputs = shown.get("Inputs"), shown.get("Generated Outputs")
        if isinstance(inputs, dict):
            given = outputs if isinstance(outputs, dict) else {}
            label = _right_answer(_row({}, given).label, str(shown.get("Feedback", "")))
            yield _row(inputs, {"label": label})


def _right_answer(given: str, feedback: str) -> str:
    """What the feedback quotes beyond the given answer; the given one where it is praised; else unknown."""
    quoted = [answer for answer in _QUOTED.findall(feedback) if answer != given]
    if quoted:
        return str(quoted[0])
    return given if _RIGHT.search(feedback) else ""


def _blocks(text: str) -> Iterator[Shown]:
    for inputs, outputs in _BLOCK.findall(text):
        yield Shown(re.sub(r"^\w+: ", "", inputs, flags=re.MULTILINE), outputs.strip().rpartition(": ")[2])


def _oracle(inputs: str, labels: str) -> Iterator[Shown]:
    asked, known = _json(inputs, dict), _json(labels, dict)
    if asked and known:
        yield _row(asked, known)


def _json(text: str, kind: type) -> Any:
    with contextlib.suppress(orjson.JSONDecodeError):
        value = orjson.loads(text)
        if isinstance(value, kind):
            return value
    return kind()
