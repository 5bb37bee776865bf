"""The static reader against DSPy itself: where it claims to know, running the code must say the same."""

import sys
import types
from collections.abc import Iterator

import dspy
import pytest

from dspy_service_core.code.signature_source import read_signature
from dspy_service_core.errors import UnusableRequest

READABLE = {
    "plain": """
import dspy

class Ticket(dspy.Signature):
    '''Sort the ticket.'''

    text: str = dspy.InputField(desc="what the customer wrote")
    label: str = dspy.OutputField()
""",
    "without an import": """
class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "from dspy import": """
from dspy import InputField, OutputField, Signature

class Ticket(Signature):
    text: str = InputField()
    label: str = OutputField()
""",
    "aliases": """
import dspy as d
from dspy import InputField as In
from dspy.signatures import OutputField as Out, Signature as Sig

class Ticket(Sig):
    text: str = In()
    label: str = Out()
    reason: str = d.OutputField()
""",
    "aliases by assignment": """
import dspy
Base, In = dspy.Signature, dspy.InputField
Sig = dspy.Signature
Out = dspy.OutputField

class Ticket(Sig):
    text: str = dspy.InputField()
    label: str = Out()
""",
    "star import": """
from dspy import *

class Ticket(Signature):
    text: str = InputField()
    label: str = OutputField()
""",
    "fields without annotation": """
class Ticket(dspy.Signature):
    text = dspy.InputField()
    more = also = dspy.InputField()
    label = dspy.OutputField()
""",
    "types": """
from enum import Enum
from typing import Literal, Optional
import pydantic

class Label(Enum):
    good = "good"
    bad = "bad"

class Address(pydantic.BaseModel):
    street: str
    number: int = 1

class Ticket(dspy.Signature):
    text: list[str] = dspy.InputField()
    where: Optional[Address] = dspy.InputField()
    label: Label = dspy.OutputField()
    mood: Literal["up", "down"] = dspy.OutputField()
""",
    "annotated": """
from typing import Annotated

class Ticket(dspy.Signature):
    text: Annotated[str, dspy.InputField(desc="x")]
    label: Annotated[str, dspy.OutputField()]
""",
    "string annotations": """
class Ticket(dspy.Signature):
    text: "str" = dspy.InputField()
    label: "list[str]" = dspy.OutputField()
""",
    "postponed annotations": """
from __future__ import annotations

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: list[str] = dspy.OutputField()
""",
    "class variables": """
from typing import ClassVar

class Ticket(dspy.Signature):
    limit: ClassVar[int] = 3
    other: "ClassVar[str]" = "x"
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "assigned doc": """
class Ticket(dspy.Signature):
    __doc__ = "Sort " + "it."
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "private names and config": """
import pydantic

class Ticket(dspy.Signature):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    _cache: int = 3
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "methods": """
class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()

    @classmethod
    def short(cls) -> str:
        return "t"
""",
    "inheritance": """
class Base(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()

class Ticket(Base):
    '''Sort.'''
    urgency: int = dspy.OutputField()
""",
    "inheritance that turns a field round": """
class Base(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.InputField()
    score: str = dspy.OutputField()

class Ticket(Base):
    label: str = dspy.OutputField()
""",
    "a diamond": """
class Base(dspy.Signature):
    text: str = dspy.InputField()

class Left(Base):
    label: str = dspy.OutputField()

class Right(Base):
    mood: str = dspy.OutputField()

class Ticket(Left, Right):
    pass
""",
    "the same name again": """
class Ticket(dspy.Signature):
    a: str = dspy.InputField()
    b: str = dspy.OutputField()

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "the same name derived": """
class Ticket(dspy.Signature):
    text: str = dspy.InputField()

class Ticket(Ticket):
    label: str = dspy.OutputField()
""",
    "other definitions": """
from dataclasses import dataclass
import json, re
LABELS = ["a", "b"]
PATTERN = re.compile("x")
if LABELS:
    import math
for name in LABELS:
    print(name)

@dataclass
class Row:
    x: int = 1

def helper(x):
    class Inner:
        pass
    return type(x)

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
    "guarded import": """
try:
    import ujson as json
except ImportError:
    import json

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
""",
}

UNREADABLE = {
    "a base from elsewhere": "from acme import Base\nclass Ticket(Base):\n    x: str = dspy.InputField()",
    "a decorator": "@register\nclass Ticket(dspy.Signature):\n    x: str = dspy.InputField()",
    "keyword arguments": "class Ticket(dspy.Signature, meta=1):\n    x: str = dspy.InputField()",
    "under a condition": "if True:\n    class Ticket(dspy.Signature):\n        x: str = dspy.InputField()",
    "made by a call": "Ticket = type('Ticket', (dspy.Signature,), {})",
    "made by exec": "exec('class Ticket(dspy.Signature): pass')",
    "made by DSPy": "from dspy.signatures import make_signature\nTicket = make_signature('a -> b')",
    "derived by a method": "class T(dspy.Signature):\n    x: str = dspy.InputField()\nU = T.with_instructions('x')",
    "bound anew": "class T(dspy.Signature):\n    x: str = dspy.InputField()\nT = 3",
    "deleted": "class T(dspy.Signature):\n    x: str = dspy.InputField()\ndel T",
    "rebound in a loop": "class T(dspy.Signature):\n    x: str = dspy.InputField()\nfor T in range(3): pass",
    "a field by another function": "class T(dspy.Signature):\n    x: str = make()\n    y: str = dspy.InputField()",
    "a branch in the body": "class T(dspy.Signature):\n    if True:\n        x: str = dspy.InputField()",
    "a mixin": "class M:\n    pass\nclass T(dspy.Signature, M):\n    x: str = dspy.InputField()",
    "a string as a base": "B = dspy.Signature('q -> a')\nclass T(B):\n    x: str = dspy.InputField()",
    "dspy bound anew": "from acme import dspy\ndspy = dspy()\nclass T(dspy.Signature):\n    x: str = dspy.InputField()",
}

UNUSABLE = {
    "nothing": ("x = 1", "defines no class derived from dspy.Signature"),
    "empty": ("\n", "defines no class derived from dspy.Signature"),
    "a string signature is no class": ("Ticket = dspy.Signature('text -> label')", "defines no class derived"),
    "only other classes": ("class Ticket:\n    pass", "defines no class derived from dspy.Signature"),
    "several": (
        "class A(dspy.Signature):\n  x: str = dspy.InputField()\nclass B(dspy.Signature):\n  y = dspy.InputField()",
        "several signatures, 'A', 'B'",
    ),
    "two leaves of one base": (
        "class A(dspy.Signature):\n  x: str = dspy.InputField()\nclass B(A): pass\nclass C(A): pass",
        "several signatures, 'B', 'C'",
    ),
    "a syntax error": ("class Ticket(dspy.Signature):\n    x: str = dspy.InputField(", "syntax error on line 2"),
    "null bytes": ("x = 1\0", "null bytes"),
    "too deep": ("-" * 20_000 + "1", "nested too deeply"),
    "too long": ("#" * 300_000, "at most 262144"),
    "an undeclared field": (
        "class Ticket(dspy.Signature):\n    x: str\n    y: str = dspy.OutputField()",
        "field 'x' of signature 'Ticket' (line 2) must be declared with dspy.InputField() or dspy.OutputField()",
    ),
    "a constant as a field": ("class Ticket(dspy.Signature):\n    x: int = 3", "field 'x' of signature 'Ticket'"),
}


@pytest.fixture
def user_module() -> Iterator[types.ModuleType]:
    module = types.ModuleType("signature_under_test")
    module.__dict__["dspy"] = dspy
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("code", READABLE.values(), ids=READABLE)
def test_static_is_what_running_says(code: str, user_module: types.ModuleType) -> None:
    exec(compile(code, "<signature>", "exec"), user_module.__dict__)
    runtime = vars(user_module)["Ticket"]

    found = read_signature(code)

    assert (found.name, found.doubt) == ("Ticket", "")
    assert set(found.inputs) == set(runtime.input_fields)
    assert set(found.outputs) == set(runtime.output_fields)


@pytest.mark.parametrize("code", UNREADABLE.values(), ids=UNREADABLE)
def test_doubt_is_left_to_the_pod(code: str) -> None:
    found = read_signature(code)

    assert found.name is None
    assert found.doubt


@pytest.mark.parametrize(("code", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_can_only_fail_is_refused(code: str, message: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        read_signature(code)
    assert message in str(refused.value)
    assert str(refused.value).startswith("signature_code")


@pytest.mark.parametrize("name", ["an undeclared field", "a constant as a field"])
def test_dspy_refuses_undeclared_fields_too(name: str, user_module: types.ModuleType) -> None:
    with pytest.raises(TypeError):  # with a message that helps nobody
        exec(UNUSABLE[name][0], user_module.__dict__)


def test_fields_keep_their_order() -> None:
    found = read_signature(READABLE["fields without annotation"])

    assert found.inputs == ("text", "more", "also")


def test_the_text_is_called_what_the_sender_calls_it() -> None:
    with pytest.raises(UnusableRequest, match=r"^spec\.signature defines no class"):
        read_signature("x = 1", "spec.signature")
