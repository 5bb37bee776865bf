"""Asks any model with an optimized prompt, without DSPy: puts inputs into the messages of an artifact.

`messages.json` holds, for each predictor, what DSPy sends, with a placeholder for each input. Values are written as
DSPy writes them, so that the messages are the same, byte for byte.
"""

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Message = dict[str, Any]
Texts = dict[str, str]


class Parts(tuple[Mapping[str, Any], ...]):
    """The content parts of an input that is no text, such as
    `Parts([{"type": "image_url", "image_url": {"url": "https://..."}}])`."""

    __slots__ = ()


def fill_messages(
    messages: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    predictor: str = "",
    history: Iterable[Mapping[str, Any]] = (),
) -> list[Message]:
    """The messages of one predictor (named where there are several) with these inputs.

    `history` is for a predictor that has an input of the type `dspy.History`: its turns, each with inputs and outputs.
    """
    prompt = _prompt(messages.get("predictors") or {}, predictor)
    _check(prompt["inputs"], inputs)
    filler = _Filler(prompt, str(messages.get("adapter")))
    filled = filler.filled(prompt["messages"], filler.inputs(inputs))
    if turns := prompt.get("history"):
        told = [message for turn in history for message in filler.filled(turns["turn"], filler.turn(turns, turn))]
        filled[turns["before"] : turns["before"]] = told
    return filled


def _prompt(predictors: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    known = ", ".join(predictors)
    if not name and len(predictors) != 1:
        raise ValueError(f"Name the predictor: {known}.")
    prompt: Mapping[str, Any] | None = predictors.get(name or next(iter(predictors)))
    if prompt is None:
        raise ValueError(f"There is no predictor {name!r}; there is {known}.")
    if "not_shown" in prompt:
        raise ValueError(f"The messages of {name or known!r} are not known: {prompt['not_shown']}")
    return prompt


def _check(fields: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    if wrong := sorted(set(fields) ^ set(inputs)):
        raise ValueError(f"The inputs are {', '.join(fields)}; missing or unknown: {', '.join(wrong)}.")


class _Filler:
    """Content parts are put into the text under a name that nobody can guess, and split off again in the end."""

    def __init__(self, prompt: Mapping[str, Any], adapter: str) -> None:
        self._fields, self._adapter = prompt["inputs"], adapter
        self._parts: dict[str, Parts] = {}

    def inputs(self, values: Mapping[str, Any]) -> Texts:
        """What stands for each placeholder."""
        fields = self._fields
        return {fields[name]["placeholder"]: self._written(each, fields[name]["type"]) for name, each in values.items()}

    def turn(self, history: Mapping[str, Any], values: Mapping[str, Any]) -> Texts:
        texts: Texts = {}
        for name, mark in history["placeholders"].items():
            if name in self._fields:
                texts[mark] = self._written(values[name], self._fields[name]["type"])
            else:
                texts |= self._answered(mark, values[name])
        return texts

    def filled(self, messages: Iterable[Mapping[str, Any]], texts: Texts) -> list[Message]:
        """All placeholders at once: a value may hold what looks like another's."""
        pattern = re.compile("|".join(map(re.escape, texts)) or "(?!)")
        return [
            {**message, "content": self._split(pattern.sub(lambda found: texts[found[0]], message["content"]))}
            if isinstance(message["content"], str)
            else dict(message)
            for message in messages
        ]

    def _answered(self, mark: str, value: Any) -> Texts:
        """An earlier answer, as each adapter has the model write it."""
        if self._adapter == "json":
            return {f'"{mark}"': json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n  ")}
        written = self._written(value, "")
        return {mark: written.replace("&", "&amp;").replace("<", "&lt;") if self._adapter == "xml" else written}

    def _written(self, value: Any, kind: str) -> str:
        if isinstance(value, list) and kind == "str":
            return _numbered(value)
        named = self._named(value)
        return json.dumps(named, ensure_ascii=False) if isinstance(named, dict | list) else str(named)

    def _named(self, value: Any) -> Any:
        """With names in the place of content parts."""
        if isinstance(value, Parts):
            name = uuid.uuid4().hex
            self._parts[name] = value
            return name
        if isinstance(value, Mapping):
            return {key: self._named(each) for key, each in value.items()}
        return [self._named(each) for each in value] if isinstance(value, list) else value

    def _split(self, text: str) -> str | list[dict[str, Any]]:
        if not self._parts:
            return text
        pieces = re.split(f"({'|'.join(self._parts)})", text)
        if len(pieces) == 1:
            return text
        parts: list[dict[str, Any]] = []
        for piece in filter(None, pieces):
            parts += map(dict, self._parts.get(piece, ({"type": "text", "text": piece},)))
        return parts


def _numbered(texts: Sequence[str]) -> str:
    """How DSPy writes a list into a field of text."""
    quoted = [_quoted(text) for text in texts]
    if len(quoted) < 2:
        return quoted[0] if quoted else "N/A"
    return "\n".join(f"[{number}] {text}" for number, text in enumerate(quoted, 1))


def _quoted(text: str) -> str:
    if not any(sign in text for sign in "\n«»"):
        return f"«{text}»"
    indented = text.replace("\n", "\n    ")
    return f"«««\n    {indented}\n»»»"
