"""Hints: what an instruction says of a label. Read from any wording, written in one.

    For billing look for: refund, charged, invoice.

Reading takes every sentence that names exactly one label, so that an instruction by a person helps as well.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from .shown import Shown
from .text import content_words, stem

Hints = Mapping[str, Counter[str]]
"""Label to its words and how often each was seen or said."""
MAX_WORDS = 30
"""Words written for a label: an instruction must not grow without end."""
_PURITY = 0.4
"""Share of a word's uses that must be the label's own: below it the word speaks for several labels."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WRITTEN = re.compile(r"For [\"'`]?([^\"'`\n]{1,60}?)[\"'`]? look for: ([^.\n]+)")


@lru_cache(maxsize=512)
def hint_texts(objective: str, labels: tuple[str, ...]) -> Sequence[str]:
    """For each label, all that the objective says of it and of no other."""
    said: dict[str, list[str]] = {label: [] for label in labels}
    names = {label: _name_pattern(label) for label in labels}
    for sentence in _SENTENCE.split(objective):
        named = [label for label, pattern in names.items() if pattern.search(sentence)]
        if len(named) == 1:
            said[named[0]].append(names[named[0]].sub(" ", sentence))
    return [" ".join(sentences) for sentences in said.values()]


def _name_pattern(label: str) -> re.Pattern[str]:
    spelled = re.escape(label).replace("_", "[ _-]")
    return re.compile(rf"(?<!\w){spelled}(?!\w)", re.IGNORECASE)


def written_hints(text: str) -> Hints:
    """The hints of our own wording in a text, whatever stands around them."""
    found: dict[str, Counter[str]] = {}
    for label, listed in _WRITTEN.findall(text):
        found.setdefault(label, Counter()).update(word.strip() for word in listed.split(","))
    return found


def learn(shown: Iterable[Shown], known: Hints) -> Hints:
    """What is known, together with the words of the shown examples."""
    seen = {label: Counter(words) for label, words in known.items()}
    for example in shown:
        seen.setdefault(example.label, Counter()).update(content_words(example.text))
    return seen


def write(hints: Hints, per_label: int = MAX_WORDS) -> str:
    uses = Counter[str]()
    for words in hints.values():
        for word, count in words.items():
            uses[stem(word)] += count
    chosen = {label: _telling(words, uses)[:per_label] for label, words in sorted(hints.items())}
    return "\n".join(f"For {label} look for: {', '.join(words)}." for label, words in chosen.items() if words)


def _telling(words: Counter[str], uses: Mapping[str, int]) -> list[str]:
    """Most used and most the label's own first; of words with one stem, one."""
    weights = {word: count * count / uses[stem(word)] for word, count in words.items()}
    own = [word for word, count in words.items() if count >= _PURITY * uses[stem(word)]]
    by_stem = {stem(word): word for word in sorted(own, key=lambda word: weights[word])}
    return sorted(by_stem.values(), key=lambda word: -weights[word])


def without_hints(text: str) -> str:
    """The instruction itself, so that new hints replace the old ones instead of piling up."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(_WRITTEN.pattern + r"\.?", "", text)).strip()
