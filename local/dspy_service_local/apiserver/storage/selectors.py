"""Label and field selectors: parsed once a request, matched on an object's facets without reading its body."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dspy_service_local.apiserver import refusals


class Facets(NamedTuple):
    """What selectors may ask of an object; kept beside its body."""

    labels: Mapping[str, str]
    fields: Mapping[str, str]


class Requirement(NamedTuple):
    key: str
    operator: str
    values: frozenset[str]

    def matches(self, given: Mapping[str, str]) -> bool:
        return _OPERATORS[self.operator](given.get(self.key), self.values)


_OPERATORS: Mapping[str, Callable[[str | None, frozenset[str]], bool]] = {
    "exists": lambda value, _: value is not None,
    "missing": lambda value, _: value is None,
    "in": lambda value, values: value is not None and value in values,
    "notin": lambda value, values: value is None or value not in values,
}

_REQUIREMENT = re.compile(
    r"""\s*(?: (?P<absent>!)\s*(?P<absent_key>[^\s,=!()]+)
      | (?P<key>[^\s,=!()]+)\s*
        (?: (?P<equality>==?|!=)\s*(?P<value>[^\s,=!()]*)
          | (?P<set>in|notin)\s*\((?P<values>[^()]*)\) )? )\s*(?:,|$)""",
    re.VERBOSE,
)
_EQUALITY = {"=": "in", "==": "in", "!=": "notin"}


class Selection(NamedTuple):
    """Which objects of a kind a list or a watch is about; `namespace` None spans all of them."""

    namespace: str | None = None
    name: str | None = None
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    @property
    def by_facets(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, namespace: str, name: str, facets: Facets) -> bool:
        if self.namespace is not None and self.namespace != namespace:
            return False
        if self.name is not None and self.name != name:
            return False
        if not all(requirement.matches(facets.labels) for requirement in self.labels):
            return False
        if not self.fields:
            return True
        fields = {**facets.fields, "metadata.name": name, "metadata.namespace": namespace}
        return all(requirement.matches(fields) for requirement in self.fields)


def select(namespace: str | None, label_selector: str, field_selector: str, known_fields: frozenset[str]) -> Selection:
    """`known_fields` are the kind's own; `metadata.name` and `metadata.namespace` are every kind's."""
    name, other = None, []
    for requirement in _parse_fields(field_selector):
        positive = requirement.operator == "in"
        if requirement.key == "metadata.name" and positive and name in (None, *requirement.values):
            (name,) = requirement.values
        elif requirement.key == "metadata.namespace" and positive and namespace in (None, *requirement.values):
            (namespace,) = requirement.values
        elif requirement.key in known_fields or requirement.key in ("metadata.name", "metadata.namespace"):
            other.append(requirement)
        else:
            raise refusals.bad_request(f"field label not supported: {requirement.key}")
    return Selection(namespace, name, tuple(parse_labels(label_selector)), tuple(other))


def parse_labels(text: str) -> list[Requirement]:
    found, position = [], 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None or match.end() == position:
            raise refusals.bad_request(f'unable to parse requirement: found "{text[position:]}" in "{text}"')
        found.append(_requirement(match))
        position = match.end()
    return found


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent_key"], "missing", frozenset())
    if match["equality"]:
        return Requirement(match["key"], _EQUALITY[match["equality"]], frozenset({match["value"]}))
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], match["set"], values)
    return Requirement(match["key"], "exists", frozenset())


def _parse_fields(text: str) -> list[Requirement]:
    """`path=value`, `path==value`, `path!=value`, joined by commas."""
    found = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(!=|==?)(.*)", part)
        if match is None:
            raise refusals.bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        found.append(Requirement(match[1].strip(), _EQUALITY[match[2]], frozenset({match[3]})))
    return found
