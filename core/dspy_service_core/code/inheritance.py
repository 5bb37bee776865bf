"""Gathers the fields that a signature inherits, by pydantic's rule: a base's fields win over those of the bases after
it.

Each class is visited once, however the classes derive from each other. Otherwise the work would double at each class
whose two bases share a base, and a long chain in which each class holds all fields above it would need quadratic
memory.
"""

from collections.abc import Iterable, Iterator, Mapping

from dspy_service_core.code.field_types import FieldType
from dspy_service_core.code.source_names import Definition, Unreadable


def leaves_of(classes: Iterable[Definition]) -> list[Definition]:
    """The classes from which none of the others derives."""
    given = list(classes)
    used = {base for one in _with_ancestors(given) for base in one.bases}
    return [one for one in given if one not in used]


def fields_of(leaf: Definition) -> Mapping[str, str]:
    """The kind (input or output) of each field by its name, in the order of declaration.

    For a class that is reached on two ways, the kinds follow from the last way and the order from the first. So two
    walks are needed, one from the end and one from the beginning.
    """
    kinds: dict[str, str] = {}
    for one in _with_ancestors([leaf]):
        for name, kind in one.fields.items():
            kinds.setdefault(name, kind)
    ordered = list(_bases_first(leaf))
    if any(name in kinds and name not in one.fields for one in ordered for name in one.others):
        raise Unreadable(f"'{leaf.name}' or what it derives from redefines a field")
    return {name: kinds[name] for one in ordered for name in one.fields}


def types_of(leaf: Definition) -> Mapping[str, FieldType]:
    """Types by field. If a field is declared twice, the declaration that holds decides, even if its type is unknown."""
    types: dict[str, FieldType | None] = {}
    for one in _with_ancestors([leaf]):
        for name in one.fields:
            types.setdefault(name, one.types.get(name))
    return {name: its for name, its in types.items() if its is not None}


def resolution_order(leaf: Definition) -> list[Definition]:
    """The class and its ancestors in the order in which Python looks for an attribute: each before its bases, and an
    earlier base before a later one."""
    return list(_bases_first(leaf))[::-1]


def _with_ancestors(classes: list[Definition]) -> Iterator[Definition]:
    """Yields each class before its bases, and its first base before the second."""
    waiting = list(reversed(classes))
    seen: set[Definition] = set()
    while waiting:
        if (one := waiting.pop()) not in seen:
            seen.add(one)
            yield one
            waiting.extend(reversed(one.bases))


def _bases_first(leaf: Definition) -> Iterator[Definition]:
    """Yields each class after its bases, and its last base first."""
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
