"""Half a character (a lone surrogate) in prompts and answers: it is replaced on its way, and stops nothing."""

from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Response, TextPart, Usage, response_to_events

from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.models import CountedLM, ValidAnswers
from dspy_service_runner.optimizer.outbox import AppendFile

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Echo:
    """Answers always the same, and remembers what it was sent."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.sent: list[str] = []

    def complete(self, request: Any) -> Any:
        self.sent += [message.text or "" for message in request.messages]
        return Response(
            id=None,
            model="echo",
            message=Message.assistant([TextPart(self.answer)]),
            finish_reason="stop",
            usage=Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def stream(self, request: Any) -> Any:
        return response_to_events(self.complete(request))

    def close(self) -> None:
        pass


def asked(answer: str, signature: str, adapter: Any, **inputs: Any) -> tuple[Any, Echo]:
    engine = Echo(answer)
    lm = CountedLM("openai/echo", engine=engine, cache=False)
    with dspy.context(lm=lm, adapter=adapter, callbacks=[ValidAnswers()]):
        return dspy.Predict(signature)(**inputs), engine


def chat(value: str) -> str:
    return f"[[ ## answer ## ]]\n{value}\n\n[[ ## completed ## ]]"


@pytest.mark.parametrize(
    ("answer", "kind", "adapter", "value"),
    [
        (chat("ok \ud83d"), "str", dspy.ChatAdapter(), "ok \ufffd"),
        (chat("\ud83d\ude00"), "str", dspy.ChatAdapter(), "\N{GRINNING FACE}"),
        (chat(r'["ok \ud83d"]'), "list[str]", dspy.ChatAdapter(), ["ok \ufffd"]),
        (
            chat(r'{"\ude00": {"a": "\ud83d"}}'),
            "dict[str, dict[str, str]]",
            dspy.ChatAdapter(),
            {"\ufffd": {"a": "\ufffd"}},
        ),
        (chat(r'["\ud83d\ude00"]'), "list[str]", dspy.ChatAdapter(), ["\N{GRINNING FACE}"]),
        (
            chat(r"a regular expression: [\ud800-\udfff]"),
            "str",
            dspy.ChatAdapter(),
            r"a regular expression: [\ud800-\udfff]",
        ),
        (r'{"answer": "ok \ud83d"}', "str", dspy.JSONAdapter(), "ok \ufffd"),
        (r'{"answer": ["ok \ude00"]}', "list[str]", dspy.JSONAdapter(), ["ok \ufffd"]),
        ("<answer>ok \ud83d</answer>", "str", dspy.XMLAdapter(), "ok \ufffd"),
    ],
)
def test_an_answer_arrives_as_valid_text(answer: str, kind: str, adapter: Any, value: Any) -> None:
    prediction, _ = asked(answer, f"question -> answer: {kind}", adapter, question="a")
    assert prediction.answer == value


def test_a_prompt_is_sent_as_valid_text() -> None:
    _, engine = asked(
        chat("fine"), "question, words: list[str] -> answer", dspy.ChatAdapter(), question="\ud83d", words=["\ude00"]
    )
    assert "\ufffd" in engine.sent[-1]
    for text in engine.sent:
        text.encode()


def test_a_model_is_asked_directly_as_well() -> None:
    engine = Echo("ok \ud83d")
    assert CountedLM("openai/echo", engine=engine, cache=False)("say \ude00") == ["ok \ufffd"]
    assert engine.sent == ["say \ufffd"]


def test_an_answer_that_had_half_a_character_is_there_for_the_next_attempt(tmp_path: Path) -> None:
    first = JournalCache(tmp_path / "none", AppendFile(tmp_path / "calls.jsonl"))
    first.put(REQUEST, {"outputs": ["ok \ud83d"]})
    second = JournalCache(tmp_path / "calls.jsonl", AppendFile(tmp_path / "next.jsonl"))
    assert first.get(REQUEST) == second.get(REQUEST) == {"outputs": ["ok \ufffd"]}
