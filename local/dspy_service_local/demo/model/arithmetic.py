"""Word problems, humbly: the formula over the question's numbers that would have answered the nearest examples.

It does not understand a problem. Of a dozen formulas it takes the one that is right for the examples most like the
question, so that well-chosen examples help it; without any it multiplies all numbers.
"""

import math
import re
from collections.abc import Callable, Sequence

from .text import similarities

_COUNTED = "one two three four five six seven eight nine ten eleven twelve"
_WORDS = {"half": 0.5, "twice": 2.0, "dozen": 12.0} | {word: n + 1.0 for n, word in enumerate(_COUNTED.split())}
_NUMBER = re.compile(rf"\d+(?:,\d{{3}})*(?:\.\d+)?|\b(?:{'|'.join(_WORDS)})\b")
_LARGEST = 1e12
Numbers = Sequence[float]

FORMULAS: tuple[Callable[[Numbers], float], ...] = (
    lambda n: math.prod(n),
    lambda n: math.fsum(n),
    lambda n: n[0] * n[1],
    lambda n: n[0] - n[1],
    lambda n: n[0] - math.fsum(n[1:]),
    lambda n: n[0] + n[1],
    lambda n: n[0] / n[1],
    lambda n: n[1] / n[0],
    lambda n: n[-1] * n[0],
    lambda n: n[0] * n[1] + n[-1],
    lambda n: n[0] * n[1] - n[-1],
    lambda n: (n[0] + n[1]) * n[-1],
    lambda n: (n[0] - n[1]) * n[-1],
    lambda n: n[0] * (1 - n[1] / 100),
    lambda n: n[0] + n[0] * n[1],
)


def answer_by_numbers(question: str, given: Sequence[tuple[str, str]]) -> float:
    numbers = numbers_in(question)
    if len(numbers) < 2:
        return numbers[0] if numbers else 0.0
    votes = [0.0] * len(FORMULAS)
    for (text, answer), alike in zip(given, similarities(question, [text for text, _ in given]), strict=True):
        asked, right = numbers_in(text), numbers_in(answer)
        if len(asked) > 1 and right:
            for i, formula in enumerate(FORMULAS):
                # The last number of an answer is its result: what stands before is the way to it.
                votes[i] += alike * (abs(_value(formula, asked) - right[-1]) < 0.01)
    return _value(FORMULAS[votes.index(max(votes))], numbers)


def numbers_in(text: str) -> list[float]:
    found = _NUMBER.findall(text.lower())
    return [_WORDS[word] if word in _WORDS else float(word.replace(",", "")) for word in found]


def _value(formula: Callable[[Numbers], float], numbers: Numbers) -> float:
    try:
        value = formula(numbers)
    except ZeroDivisionError:
        return 0.0
    return value if abs(value) < _LARGEST else 0.0
