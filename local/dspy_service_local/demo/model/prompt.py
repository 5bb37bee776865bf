"""Reads the messages that DSPy's chat and JSON adapters write: fields, their types, examples, the question itself.

Everything the humble model knows comes through here. What is in another format is left as plain text.
"""

import ast
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import orjson

_MARKER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*", re.MULTILINE)
_OUTPUTS = re.compile(r"^Your output fields are:\n(.*?)^All interactions will be structured", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^\d+\. `(\w+)` \((.*)\):", re.MULTILINE)
_NOTE = re.compile(r"\{(\w+)\} +# note: the value you produce (.*)")
_OBJECTIVE = "your objective is:"
_ONE_OF = "one of: "
_SCHEMA = "must adhere to the JSON schema: "
_REQUEST = re.compile(r"\n\s*Respond with (?:the corresponding output fields|a JSON object).*\Z", re.DOTALL)
_NOT_SUPPLIED = "Not supplied for this particular example."


@dataclass(frozen=True, slots=True)
class OutputField:
    name: str
    type: str
    """As DSPy prints it: `str`, `float`, `Literal['a', 'b']`, `list[str]`, ..."""
    choices: tuple[str, ...] = ()
    schema: str = ""
    """JSON schema of what is neither text, number, truth value nor choice."""


@dataclass(frozen=True, slots=True)
class Example:
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """What a system message asks for."""

    objective: str = ""
    outputs: tuple[OutputField, ...] = ()
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    task: Task = Task()
    inputs: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    text: str = ""
    """The last message as it stands."""


def read_prompt(messages: Sequence[Mapping[str, Any]]) -> Prompt:
    system = "\n".join(_text(m) for m in messages if m.get("role") in ("system", "developer"))
    turns = [m for m in messages if m.get("role") in ("user", "assistant")]
    last = _text(turns[-1]) if turns else ""
    question = _REQUEST.sub("", last)
    return Prompt(_task(system), _sections(question), _examples(turns), last)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if isinstance(part, Mapping))


@lru_cache(maxsize=512)
def _task(system: str) -> Task:
    described = _OUTPUTS.search(system)
    head, _, objective = system.partition(_OBJECTIVE)
    # JSON prompts hold the notes inside JSON strings, their quotes escaped.
    notes = dict(_NOTE.findall(head.replace('\\"', '"')))
    fields = _FIELD.findall(described[1]) if described else []
    as_json = "Outputs will be a JSON object" in head
    outputs = tuple(_output(name, kind, notes.get(name, "")) for name, kind in fields)
    return Task("\n".join(line.strip() for line in objective.strip().splitlines()), outputs, as_json)


def _output(name: str, kind: str, note: str) -> OutputField:
    _, is_schema, schema = note.partition(_SCHEMA)
    return OutputField(name, kind, _choices(kind, note), schema.rstrip('",') if is_schema else "")


def _choices(kind: str, note: str) -> tuple[str, ...]:
    if kind.startswith("Literal["):
        with contextlib.suppress(ValueError, SyntaxError):
            return tuple(str(choice) for choice in ast.literal_eval(kind.removeprefix("Literal")))
    before, found, listed = note.partition(_ONE_OF)
    return tuple(listed.rstrip('",').split("; ")) if found and before.startswith("must") else ()


def _examples(turns: Sequence[Mapping[str, Any]]) -> tuple[Example, ...]:
    return tuple(
        Example(_sections(_text(asked)), _answered(_text(answer)))
        for asked, answer in pairwise(turns)
        if asked.get("role") == "user" and answer.get("role") == "assistant"
    )


@lru_cache(maxsize=4096)
def _answered(text: str) -> Mapping[str, str]:
    values = _json_object(text) if text.lstrip().startswith("{") else _sections(text)
    return {name: value for name, value in values.items() if not value.startswith(_NOT_SUPPLIED)}


def _json_object(text: str) -> Mapping[str, str]:
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


@lru_cache(maxsize=8192)
def _sections(text: str) -> Mapping[str, str]:
    """Field name to text; the end marker `completed` and what stands before the first marker are left out."""
    parts = _MARKER.split(text)
    named = zip(parts[1::2], parts[2::2], strict=True)
    return {name: value.strip() for name, value in named if name != "completed"}
