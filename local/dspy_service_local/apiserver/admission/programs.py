"""CEL rules, compiled once a definition.

What the CEL library lacks of Kubernetes' own functions (quantities, URLs, IPs, optional syntax) makes a definition that
uses it fail at creation, not in silence.
"""

import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))  # its command line costs 16 MB and is not used here
import cel  # noqa: E402  (after the line above, for its sake)
from cel.stdlib import add_stdlib_to_context  # noqa: E402  (likewise)

from dspy_service_local.apiserver.admission.projection import Reads, reads  # noqa: E402  (likewise)


class RuleError(ValueError):
    """A rule that cannot be compiled; the message is the compiler's."""


@dataclass(frozen=True, slots=True)
class Rule:
    program: Any
    source: str
    message: str
    message_program: Any
    reason: str
    field_path: str
    transition: bool
    optional_old: bool
    reads_self: Reads
    reads_old: Reads


def compile_rules(rules: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(_compiled(rule) for rule in rules)


def _compiled(rule: Mapping[str, Any]) -> Rule:
    source = rule["rule"]
    program = _program(source)
    expression = rule.get("messageExpression")
    read = f"{source} {expression or ''}"
    return Rule(
        program=program,
        source=source,
        message=rule.get("message") or f"failed rule: {' '.join(source.split())}",
        message_program=_program(expression) if expression else None,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath") or "",
        transition="oldSelf" in program.variables(),
        optional_old=bool(rule.get("optionalOldSelf")),
        reads_self=reads(read, "self"),
        reads_old=reads(read, "oldSelf"),
    )


def _program(source: str) -> Any:
    try:
        program = cel.compile(source)
    except (ValueError, RuntimeError) as exc:
        raise RuleError(str(exc)) from exc
    known = CONTEXT.functions.keys() | _NATIVE
    for function in program.functions():
        if function.isidentifier() and not function.startswith(("_", "@")) and function not in known:
            raise RuleError(f"undeclared reference to '{function}'")
    return program


CONTEXT = cel.Context()
add_stdlib_to_context(CONTEXT)
_NATIVE = frozenset(
    {
        "size",
        "has",
        "all",
        "exists",
        "exists_one",
        "map",
        "filter",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "optional",
        "none",
        "of",
        "ofNonZeroValue",
        "hasValue",
        "value",
        "orValue",
        "or",
    }
)


def optional(value: Any) -> Any:
    """An old value that may be absent, for rules that handle creation themselves."""
    return cel.OptionalValue.none() if value is None else cel.OptionalValue.of(value)
