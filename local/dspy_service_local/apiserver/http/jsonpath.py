"""The JSONPath of printer columns: `.status.conditions[?(@.type=="Ready")].status`, `.a['b.c']`, `[0]`, `[*]`.

Kubernetes' dialect in the part that columns use; the libraries for the standard's dialect read it differently.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]]+)
      | \[(?P<index>-?\d+)\]
      | (?P<all>\[\*\]|\.\*)
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | \[\?\(@\.(?P<key>[^=!<>]+?)\s*==\s*["'](?P<value>[^"']*)["']\)\]""",
    re.VERBOSE,
)


class Step(NamedTuple):
    kind: str
    name: str = ""
    value: str = ""


@lru_cache(maxsize=512)
def steps(path: str) -> tuple[Step, ...] | None:
    """None for a path that is none."""
    found, position = [], 0
    text = path.strip("{}").removeprefix("$")
    text = text if text.startswith((".", "[")) else f".{text}"
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return None
        found.append(_step(match))
        position = match.end()
    return tuple(found)


def _step(match: re.Match[str]) -> Step:
    if match["all"]:
        return Step("all")
    if match["index"] is not None:
        return Step("index", match["index"])
    if match["key"] is not None:
        return Step("filter", match["key"].strip(), match["value"])
    return Step("name", (match["name"] or match["quoted"]).replace("\\", ""))


def find(path: str, obj: Any) -> Any:
    """The first value at the path, None where there is none."""
    values, parsed = [obj], steps(path)
    if parsed is None:
        return None
    for step in parsed:
        values = [item for value in values for item in _stepped(step, value)]
        if not values:
            return None
    return values[0]


def _stepped(step: Step, value: Any) -> list[Any]:
    if step.kind == "name":
        return [value[step.name]] if isinstance(value, dict) and step.name in value else []
    if isinstance(value, dict) and step.kind == "all":
        return list(value.values())
    if not isinstance(value, list):
        return []
    if step.kind == "all":
        return value
    if step.kind == "index":
        index = int(step.name)
        return [value[index]] if -len(value) <= index < len(value) else []
    return [item for item in value if isinstance(item, dict) and str(find(step.name, item)) == step.value]
