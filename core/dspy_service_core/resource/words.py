"""Translates paths of a spec into the sender's names for them, so that messages name the fields that were written.

Checks locate a problem by its path in the spec and translate that path. For a resource, the sender's names are those
paths; any other way to send a job declares its own field for each path.
"""

from collections.abc import Callable, Mapping

Words = Callable[[str], str]
"""Gives the sender's name for a path of the spec, such as `spec.columns.inputs.text`."""


def resource_words(path: str) -> str:
    return path


def words_of(fields: Mapping[str, str]) -> Words:
    """Translates the longest declared beginning of a path; the rest (names, places in lists) stays the same."""
    longest_first = [(known, (f"{known}.", f"{known}[")) for known in sorted(fields, key=len, reverse=True)]

    def words(path: str) -> str:
        if path in fields:
            return fields[path]
        for known, beginnings in longest_first:
            if path.startswith(beginnings):
                return fields[known] + path.removeprefix(known)
        return path

    return words
