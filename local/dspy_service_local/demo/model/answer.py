"""From a chat request's messages to the text of the answer: reads the prompt, answers each field, writes the format.

Pure: the same messages and variant always give the same text.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .prompt import Prompt, read_prompt
from .propose import RULES
from .task import answer_fields, quote


def answer(messages: Sequence[Mapping[str, Any]], variant: int = 0, *, as_json: bool = False) -> str:
    """`variant` tells apart several answers to one prompt; 0 is the best."""
    prompt = read_prompt(messages)
    if not prompt.task.outputs:
        return f"I answer the prompts of DSPy programs; this was: {quote(prompt.text)}"
    values = _values(prompt, variant)
    if as_json or prompt.task.as_json:
        return orjson.dumps(values).decode()
    return _chat(values)


def _values(prompt: Prompt, variant: int) -> dict[str, Any]:
    names = [field.name for field in prompt.task.outputs]
    proposals = {name: RULES[name](prompt, variant) for name in names if name in RULES and not prompt.examples}
    if len(proposals) == len(names):
        return proposals
    return answer_fields(prompt, variant) | proposals


def _chat(values: Mapping[str, Any]) -> str:
    sections = [f"[[ ## {name} ## ]]\n{_printed(value)}" for name, value in values.items()]
    return "\n\n".join([*sections, "[[ ## completed ## ]]"])


def _printed(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (bool, int, float)) else json.dumps(value, ensure_ascii=False)
