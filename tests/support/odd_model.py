"""A model of odd manners for the scripted server: what it answers to a row stands in the row's own text.

`[prose]` in a text is answered with prose, whatever is asked, and so on by `MANNERS`; other texts get the label after
their `=`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scripted_model import TICKETS, ScriptedModel

MANNERS: dict[str, dict[str, Any]] = {
    "prose": {"content": "Sure! I would say it is fine."},
    "half": {"content": '{"lab'},
    "thinking": {"content": "<think>The label could be billing, or rather"},
    "nothing": {"content": ""},
    "null": {"content": None},
    "html": {"content": "<html><body><h1>502 Bad Gateway</h1></body></html>"},
    "tool": {
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
}
_MANNER = re.compile(r"\[(\w+)\]")
_RIGHT = re.compile(r"=(\w+)")


class OddModel(ScriptedModel):
    def __init__(self) -> None:
        super().__init__(TICKETS)

    def answer(self, messages: Sequence[Mapping[str, str]], auth: str = "") -> tuple[str, str]:
        asked = str(messages[-1]["content"]).split("\n\nRespond with")[0]
        manner, right = _MANNER.search(asked), _RIGHT.search(asked)
        if manner and manner[1] in MANNERS:
            return f"[{manner[1]}]", "odd"
        return (f"[[ ## label ## ]]\n{right[1]}", "task") if right else super().answer(messages, auth)

    def message(self, text: str) -> dict[str, Any]:
        manner = _MANNER.fullmatch(text)
        return {"role": "assistant", **MANNERS[manner[1]]} if manner else super().message(text)
