"""A scripted model that knows what is right, and one thing that is wrong, for every item that it was told of.

A row names its item in an input (`item past-3`). The model is right whenever its prompt has demonstrations or an
instruction that it proposed itself, and else for every second item: optimizing always helps.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scripted_model import INSTRUCTION_FIELDS, NUMBERED_FIELD, OUTPUT_FIELDS

BETTER = "Look at every detail twice."


class KnowingModel:
    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], bool]] = {}

    def know(self, item: str, right: Mapping[str, Any], wrong: Mapping[str, Any]) -> str:
        """The words that have to stand in a row."""
        self._known[f"<{item}>"] = right, wrong, len(self._known) % 2 == 0
        return f"<{item}>"

    def answer(self, messages: Sequence[Mapping[str, Any]], auth: str = "") -> tuple[str, str]:
        system = next((text_of(m) for m in messages if m["role"] in ("system", "developer")), "")
        users = [text_of(m) for m in messages if m["role"] == "user"] or [""]
        asked = OUTPUT_FIELDS.search(system)
        fields = NUMBERED_FIELD.findall(asked[1]) if asked else []
        if not fields:
            return (f"```\n{BETTER}\n```", "propose") if "instruction" in users[-1].lower() else ("OK", "other")
        answer = self._values(fields, users[-1], trained=len(users) > 1 or BETTER in system)
        kind = "propose" if any(name in INSTRUCTION_FIELDS for name, _ in fields) else "task"
        if "Outputs will be a JSON object" in system:
            return json.dumps(answer), kind
        blocks = [f"[[ ## {k} ## ]]\n{v if isinstance(v, str) else json.dumps(v)}" for k, v in answer.items()]
        return "\n\n".join([*blocks, "[[ ## completed ## ]]"]), kind

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}

    def _values(self, fields: Sequence[tuple[str, str]], last: str, *, trained: bool) -> dict[str, Any]:
        item = max(self._known, key=last.rfind, default="")
        known: Mapping[str, Any] = {}
        if item and item in last:
            right, wrong, lucky = self._known[item]
            known = right if trained or lucky else wrong
        return {name: known[name] if name in known else _guessed(name, kind, last) for name, kind in fields}


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def _guessed(name: str, kind: str, last: str) -> Any:
    if name in INSTRUCTION_FIELDS or name == "natural_language_rules":
        return BETTER
    if name in ("module_advice", "advice"):
        return {"self": BETTER}
    if name in (acting := _acting(kind, used="observation_" in last)):
        return acting[name]
    return True if kind == "bool" else f"some {name}"


def _acting(kind: str, *, used: bool) -> dict[str, Any]:
    """What an agent or a module that runs code is told: each tool once, code that works."""
    tools = re.findall(r"'([^']+)'", kind)
    return {
        "next_tool_name": "finish" if used or not tools else tools[0],
        "next_tool_args": {} if used else {"query": "q"},
        "generated_code": "x = 6 * 7\nprint(x)",
        "code": "SUBMIT(answer='computed')",
    }
