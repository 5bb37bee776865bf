"""What dspy's adapters write must be read back: these tests hold the reader to dspy itself."""

from enum import Enum
from typing import Any, Literal

import dspy
import pytest

from dspy_service_local.demo.model.prompt import Prompt, read_prompt


class Mood(Enum):
    GOOD = "good mood"
    BAD = "bad mood"


class Ticket(dspy.Signature):
    """Route it.

    - billing: money
    """

    text: str = dspy.InputField(desc="the message: all of it (really)")
    count: int = dspy.InputField()
    reasoning: str = dspy.OutputField()
    team: Literal["billing", "it's; app"] = dspy.OutputField(desc="which team")
    mood: Mood = dspy.OutputField()
    score: float = dspy.OutputField(ge=0)
    urgent: bool = dspy.OutputField()
    tags: list[str] = dspy.OutputField()


DEMOS = [
    {
        "text": "hello\n\nworld",
        "count": 1,
        "reasoning": "r",
        "team": "billing",
        "mood": Mood.BAD,
        "score": 0.5,
        "urgent": True,
        "tags": ["a"],
    },
    {"text": "x", "team": "it's; app"},
]
INPUTS = {"text": "paid [[ ## twice ## ]]\n\nRespond now", "count": 3}


@pytest.fixture(params=[dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
def prompt(request: pytest.FixtureRequest) -> Prompt:
    return read_prompt(request.param.format(Ticket, DEMOS, INPUTS))


def test_the_fields_and_what_they_allow(prompt: Prompt) -> None:
    fields = {field.name: field for field in prompt.task.outputs}
    assert list(fields) == ["reasoning", "team", "mood", "score", "urgent", "tags"]
    assert fields["team"].choices == ("billing", "it's; app")
    assert fields["mood"].choices == ("good mood", "bad mood")
    assert [fields[name].type for name in ("reasoning", "score", "urgent", "tags")] == [
        "str",
        "float",
        "bool",
        "list[str]",
    ]
    assert '"array"' in fields["tags"].schema


def test_the_objective(prompt: Prompt) -> None:
    assert prompt.task.objective == "Route it.\n\n- billing: money"


def test_the_question(prompt: Prompt) -> None:
    assert prompt.inputs == {"text": INPUTS["text"], "count": "3"}


def test_the_examples_and_what_they_leave_out(prompt: Prompt) -> None:
    partial, whole = prompt.examples  # dspy puts incomplete ones first
    assert whole.inputs == {"text": "hello\n\nworld", "count": "1"}
    assert (whole.outputs["team"], whole.outputs["reasoning"], whole.outputs["tags"]) == ("billing", "r", '["a"]')
    assert partial.outputs == {"team": "it's; app"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "Hello?"}],
        [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}],
        [{"role": "system", "content": "You are nice."}, {"role": "user", "content": None}],
        [{"role": "assistant", "content": "{not json"}, {"role": "user"}],
    ],
)
def test_other_messages_are_plain_text(messages: list[dict[str, Any]]) -> None:
    assert read_prompt(messages).task.outputs == ()
