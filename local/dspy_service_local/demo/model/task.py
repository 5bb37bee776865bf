"""Answers a task's own field: a label or text like that of the nearest examples, a number by their arithmetic.

Each possible answer is described by its name, what the instruction says of it and the examples that have it; the
answer whose description is nearest to the question wins. With nothing to go by, the first allowed one is taken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .arithmetic import answer_by_numbers, numbers_in
from .hints import hint_texts
from .prompt import Example, OutputField, Prompt
from .text import similarities, words

_NUMBERS = ("int", "float")
_NUMERIC = re.compile(r"(?:^|#### ) *-?\$?[\d,.]+$")
_REASONING = ("reasoning", "rationale", "thought", "next_thought")
_LONGEST_QUOTE = 80
_LIKELY = 3
_LIKELY_SHARE = 0.5
"""What scores less than this share of the best is no answer even at a high temperature."""
_EMPTY: Mapping[str, Any] = {"string": "", "integer": 0, "number": 0.0, "boolean": False, "array": [], "null": None}


def answer_fields(prompt: Prompt, variant: int = 0) -> dict[str, Any]:
    question = question_text(prompt.inputs)
    answered = {field.name: _answer(field, question, prompt, variant) for field in prompt.task.outputs}
    reasons = [name for name in answered if name in _REASONING]
    return answered | {name: _reason(question, prompt.examples) for name in reasons}


def question_text(inputs: Mapping[str, str]) -> str:
    return "\n".join(inputs.values())


def _answer(field: OutputField, question: str, prompt: Prompt, variant: int) -> Any:
    given = [(question_text(e.inputs), e.outputs[field.name]) for e in prompt.examples if field.name in e.outputs]
    if field.choices:
        return nearest_answer(question, field.choices, given, prompt.task.objective, variant)
    if field.type == "bool":
        return nearest_answer(question, ("True", "False"), given, prompt.task.objective) == "True"
    if field.type in _NUMBERS:
        return _number(field.type, question, given)
    if field.type == "str":
        return _text(question, given, prompt.task.objective)
    return _structure(field, question, given)


def nearest_answer(
    question: str, answers: Sequence[str], given: Sequence[tuple[str, str]], objective: str, variant: int = 0
) -> str:
    """The variants of an answer, asked for by a high temperature, are the next likely ones in turn."""
    said = hint_texts(objective, tuple(answers))
    asked: dict[str, list[str]] = {answer: [] for answer in answers}
    for text, answer in given:
        if answer in asked:
            asked[answer].append(text)
    described = [" ".join([name, hint, *asked[name]]) for name, hint in zip(answers, said, strict=True)]
    scored = sorted(zip(similarities(question, described), answers, strict=True), key=lambda pair: -pair[0])
    likely = [answer for score, answer in scored[:_LIKELY] if score >= _LIKELY_SHARE * scored[0][0]]
    return likely[variant % len(likely)]


def _number(kind: str, question: str, given: Sequence[tuple[str, str]]) -> float:
    if given and len(numbers_in(question)) < 2:
        answers = tuple(dict.fromkeys(answer for _, answer in given))
        value = float(nearest_answer(question, answers, given, ""))
    else:
        value = answer_by_numbers(question, given)
    return int(value) if kind == "int" else value


def _text(question: str, given: Sequence[tuple[str, str]], objective: str) -> str:
    """Counts where the examples' answers are numbers (or there are none and the question asks how many)."""
    numeric = [
        answer for _, answer in given if answer.strip().lstrip("-$").replace(",", "").split("#### ")[-1].isdigit()
    ]
    asks_for_number = not given and "how" in words(question) and any(letter.isdigit() for letter in question)
    if asks_for_number or (given and len(numeric) * 2 > len(given)):
        return f"{answer_by_numbers(question, given):g}"
    answers = tuple(dict.fromkeys(answer for _, answer in given))
    return nearest_answer(question, answers, given, objective) if answers else quote(question)


def _structure(field: OutputField, question: str, given: Sequence[tuple[str, str]]) -> Any:
    """Lists and objects: the nearest example's; else the emptiest value that the schema allows."""
    if given:
        answers = tuple(dict.fromkeys(answer for _, answer in given))
        nearest = nearest_answer(question, answers, given, "")
        try:
            return orjson.loads(nearest)
        except orjson.JSONDecodeError:
            return nearest
    try:
        return _emptiest(orjson.loads(field.schema or "{}"))
    except orjson.JSONDecodeError:
        return None


def _emptiest(schema: Mapping[str, Any]) -> Any:
    options = schema.get("anyOf") or schema.get("enum")
    if options:
        return _emptiest(options[0]) if isinstance(options[0], dict) else options[0]
    if "properties" in schema:
        return {name: _emptiest(kind) for name, kind in schema["properties"].items()}
    return _EMPTY.get(schema.get("type", ""), {})


def _reason(question: str, examples: Sequence[Example]) -> str:
    if not examples:
        return "There is no example to compare with, so the names of the possible answers decide."
    texts = [question_text(example.inputs) for example in examples]
    scores = similarities(question, texts)
    nearest = examples[scores.index(max(scores))]
    shown = {name: value for name, value in nearest.outputs.items() if name not in _REASONING}
    return f'The nearest example is "{quote(question_text(nearest.inputs))}", answered {json.dumps(shown)}.'


def quote(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 1] + "…"
