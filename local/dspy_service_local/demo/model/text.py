"""Words and how alike two texts are: TF-IDF cosine over word stems and letter trigrams.

Written by hand because it is a page: a library for it brings numpy and scipy and takes longer for a dozen short
texts than the sums below.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_TRIGRAM_WEIGHT = 0.15
"""A shared trigram says less than a shared word, and there are more of them."""
_FUNCTION_WORD_WEIGHT = 0.05
"""Next to nothing, but not nothing: a question may have no other words."""
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "e", "y")
_SHORTEST_STEM = 3

STOP_WORDS = frozenset(resources.files(__package__).joinpath("stop_words.txt").read_text("utf-8").split())
Vector = Mapping[str, float]


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """The words that may tell what a text is about: no function words, no bare numbers, each once, in order."""
    return [word for word in dict.fromkeys(words(text)) if _tells(word)]


def _tells(word: str) -> bool:
    return word not in STOP_WORDS and len(word) > 2 and not any(letter.isdigit() for letter in word)


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word.removesuffix(ending)
    return word


@lru_cache(maxsize=16384)
def features(text: str) -> Vector:
    """Stems of the telling words, and letter trigrams, which survive typos and other endings."""
    all_words = words(text)
    telling = [word for word in all_words if _tells(word)]
    trigrams = [f"#{padded[i : i + 3]}" for padded in (f"<{w}>" for w in telling) for i in range(len(padded) - 2)]
    return {
        **_weighted((word for word in all_words if not _tells(word)), _FUNCTION_WORD_WEIGHT),
        **_weighted(trigrams, _TRIGRAM_WEIGHT),
        **_weighted(map(stem, telling), 1.0),
    }


def _weighted(names: Iterable[str], weight: float) -> Vector:
    return {name: weight * (1 + math.log(count)) for name, count in Counter(names).items()}


def similarities(query: str, texts: Sequence[str]) -> list[float]:
    """Cosine of the query with each text, rare features among `texts` weighing more."""
    vectors = [features(text) for text in texts]
    rarity = _rarity(vectors)
    asked = features(query)
    norm = _norm(asked, rarity)
    return [_dot(asked, vector, rarity) / (norm * _norm(vector, rarity) or 1.0) for vector in vectors]


def _rarity(vectors: Iterable[Vector]) -> Mapping[str, float]:
    vectors = list(vectors)
    found = Counter(name for vector in vectors for name in vector)
    return {name: math.log((1 + len(vectors)) / (1 + count)) + 1 for name, count in found.items()}


def _dot(a: Vector, b: Vector, rarity: Mapping[str, float]) -> float:
    small, large = (a, b) if len(a) < len(b) else (b, a)
    return sum(weight * large[name] * rarity[name] ** 2 for name, weight in small.items() if name in large)


def _norm(vector: Vector, rarity: Mapping[str, float]) -> float:
    return math.sqrt(sum((weight * rarity.get(name, 1.0)) ** 2 for name, weight in vector.items()))
