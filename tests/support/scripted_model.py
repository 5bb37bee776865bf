"""The scripted model: messages to answers, deterministically. See `scripted_lm` for the server around it.

For a classification task it knows the right label of every row, and gets harder rows right the better it is instructed
(rubric sentences in the instruction, demos in the messages), so that optimizers have something to find.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\]\s*$", re.MULTILINE)
OUTPUT_FIELDS = re.compile(r"Your output fields are:\n(.*?)\nAll interactions", re.DOTALL)
NUMBERED_FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\)", re.MULTILINE)
MODULE_NAMES = re.compile(r'"([\w.\[\]]+)"')
FIRST_TOOL = re.compile(r"^\s*\(1\) (\w+),.*?arguments (\{.*?\}\})", re.MULTILINE | re.DOTALL)
TOOL_ARGUMENT = re.compile(r"'(\w+)': \{")
INSTRUCTION_FIELDS = ("proposed_instruction", "new_instruction", "improved_instruction")

TICKETS = [
    {"text": f"Ticket {i}: {text}", "label": label}
    for i, (text, label) in enumerate(
        [
            ("I was charged twice this month", "billing"),
            ("the app crashes when I open it", "technical"),
            ("I cannot log in with my password", "account"),
            ("my parcel has not arrived", "shipping"),
        ]
        * 10
    )
]
"""A data set for whoever needs just any: 40 rows of four labels."""


def share(text: str) -> float:
    """A stable number in [0, 1] for a text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def embedding(text: str) -> list[float]:
    """A direction for a text: the more words two texts share, the nearer they are."""
    places = [0.0] * 64
    for word in re.findall(r"\w+", text.lower()):
        places[int(63 * share(word))] += 1.0
    return places


class ScriptedModel:
    """Messages to text. `kind` says what was asked: task, propose, advice, rules or other."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], text: str = "text", label: str = "label") -> None:
        rows = list(rows)
        self._text, self._label = text, label
        self.labels = sorted({str(row[label]) for row in rows}) or ["yes", "no"]
        self.rubric = {name: f"Use {name} for whatever is about {name}." for name in self.labels}
        ranked = sorted((str(row[text]).strip() for row in rows), key=share)
        difficulty = {name: (rank + 0.5) / len(ranked) for rank, name in enumerate(ranked)}
        self._key = {str(row[text]).strip(): (str(row[label]), difficulty[str(row[text]).strip()]) for row in rows}
        self._seen: Counter[str] = Counter()

    def answer(self, messages: Sequence[Mapping[str, str]], auth: str = "") -> tuple[str, str]:
        system = next((m["content"] for m in messages if m["role"] in ("system", "developer")), "")
        users = [m["content"] for m in messages if m["role"] == "user"]
        asked = OUTPUT_FIELDS.search(system)
        fields = NUMBERED_FIELD.findall(asked[1]) if asked else []
        if not fields:
            return "OK", "other"
        last = users[-1] if users else ""
        values, kind = self._values([name for name, _ in fields], system, last, len(users) - 1, auth)
        answer = {name: values.get(name, f"some {name}") for name, _ in fields}
        if "Outputs will be a JSON object" in system:
            return json.dumps(answer), kind
        body = "\n\n".join(f"[[ ## {name} ## ]]\n{_plain(value)}" for name, value in answer.items())
        return f"{body}\n\n[[ ## completed ## ]]", kind

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}

    def _values(self, names: list[str], system: str, last: str, demos: int, auth: str) -> tuple[dict[str, Any], str]:
        inputs = _fields(last.split("\n\nRespond with")[0])
        if self._label in names:
            return {self._label: self._classify(inputs.get(self._text, ""), system, demos)}, "task"
        if any(name in names for name in INSTRUCTION_FIELDS):
            return self._propose(names, inputs, auth + system + last), "propose"
        if "next_tool_name" in names:
            return self._tool_call(system, inputs), "tool"
        if "module_advice" in names:
            modules = MODULE_NAMES.findall(inputs.get("module_names", "")) or ["self"]
            advice = list(self.rubric.values())[int(share(last) * len(self.labels)) % len(self.labels)]
            return {"module_advice": dict.fromkeys(modules, advice)}, "advice"
        if "natural_language_rules" in names:
            return {"natural_language_rules": " ".join(self.rubric.values())}, "rules"
        return ({"observations": "COMPLETE"} if "prior_observations" in inputs else {}), "other"

    def _tool_call(self, system: str, inputs: dict[str, str]) -> dict[str, Any]:
        """An agent's first tool is called once, with the text as each of its arguments."""
        tool = FIRST_TOOL.search(system)
        if tool is None or "tool_name_0" in inputs:
            return {"next_thought": "I have seen enough.", "next_tool_name": "finish", "next_tool_args": {}}
        arguments = dict.fromkeys(TOOL_ARGUMENT.findall(tool[2]), inputs.get(self._text, ""))
        return {"next_thought": "I look it up.", "next_tool_name": tool[1], "next_tool_args": arguments}

    def _classify(self, text: str, system: str, demos: int) -> str:
        objective = system.split("your objective is:")[-1]
        known = sum(sentence in objective for sentence in self.rubric.values()) / len(self.rubric)
        skill = 0.4 + 0.05 * min(demos, 4) + 0.4 * known
        gold, difficulty = self._key.get(text.strip(), (self.labels[0], share(text)))
        if difficulty < skill:
            return gold
        return self.labels[(self.labels.index(gold) + 1) % len(self.labels)]

    def _propose(self, names: list[str], inputs: dict[str, str], prompt: str) -> dict[str, Any]:
        current = inputs.get("current_instruction") or inputs.get("basic_instruction") or "Classify the text."
        current = current.strip().strip('"')
        missing = [sentence for sentence in self.rubric.values() if sentence not in current]
        self._seen[prompt] += 1
        more = 1 if "new_instruction" in names else self._seen[prompt] % (len(self.rubric) + 1)
        proposal = " ".join([current, *missing[:more]])
        return dict.fromkeys(INSTRUCTION_FIELDS, proposal) | {"proposed_prefix_for_output_field": "Label:"}


def _fields(text: str) -> dict[str, str]:
    parts = FIELD.split(text)
    return {name: value.strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
