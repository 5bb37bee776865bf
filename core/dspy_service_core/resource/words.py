"""What the sender of a job calls the fields of its spec: messages speak of what was written.

Checks say where something is wrong by its path in the spec, and put that path into the sender's words. Who writes a
resource writes those very paths; every other way to send a job declares its own fields beside them.
"""

from collections.abc import Callable, Mapping

Words = Callable[[str], str]
"""From a path of the spec, such as `spec.columns.inputs.text`."""


def resource_words(path: str) -> str:
    return path


def words_of(fields: Mapping[str, str]) -> Words:
    """By the longest declared path; what follows it is a name or a place in a list, and the same for all."""
    longest_first = [(known, (f"{known}.", f"{known}[")) for known in sorted(fields, key=len, reverse=True)]

    def words(path: str) -> str:
        if path in fields:
            return fields[path]
        for known, beginnings in longest_first:
            if path.startswith(beginnings):
                return fields[known] + path.removeprefix(known)
        return path

    return words
