"""What a signature inherits, gathered as pydantic does it: each base's fields over those of the bases after it.

Every class is looked at once, however the classes derive from each other: written out, a ladder of diamonds doubles
with every step, and a chain in which each class holds all that is above it grows with the square of its length.
"""

from collections.abc import Iterable, Iterator, Mapping

from dspy_service_core.code.source_names import Definition, Unreadable


def leaves_of(classes: Iterable[Definition]) -> list[Definition]:
    """Those that none of the others derives from."""
    given = list(classes)
    used = {base for one in _with_ancestors(given) for base in one.bases}
    return [one for one in given if one not in used]


def fields_of(leaf: Definition) -> Mapping[str, str]:
    """By name: input or output, in the order of declaration.

    Of a class that is reached twice only the last way counts for the kinds, and only the first for the order; so each
    takes one walk, from the end and from the beginning.
    """
    kinds: dict[str, str] = {}
    for one in _with_ancestors([leaf]):
        for name, kind in one.fields.items():
            kinds.setdefault(name, kind)
    ordered = list(_bases_first(leaf))
    if any(name in kinds and name not in one.fields for one in ordered for name in one.others):
        raise Unreadable(f"'{leaf.name}' or what it derives from redefines a field")
    return {name: kinds[name] for one in ordered for name in one.fields}


def _with_ancestors(classes: list[Definition]) -> Iterator[Definition]:
    """Each class before what it derives from, its first base before its second."""
    waiting = list(reversed(classes))
    seen: set[Definition] = set()
    while waiting:
        if (one := waiting.pop()) not in seen:
            seen.add(one)
            yield one
            waiting.extend(reversed(one.bases))


def _bases_first(leaf: Definition) -> Iterator[Definition]:
    """Each class after what it derives from, its last base first."""
    waiting: list[tuple[Definition, bool]] = [(leaf, False)]
    seen: set[Definition] = set()
    while waiting:
        one, ready = waiting.pop()
        if ready:
            yield one
        elif one not in seen:
            seen.add(one)
            waiting.append((one, True))
            waiting.extend((base, False) for base in one.bases)
