"""The scripted model within the process, as an engine of `dspy.LM`: what is asked is counted, and nothing is sent."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import dspy
from dspy.lm15 import Message, Response, TextPart, Usage, response_to_events

from scripted_model import TICKETS, ScriptedModel


class CountingEngine:
    def __init__(self, rows: Iterable[Mapping[str, Any]] = TICKETS) -> None:
        self._model = ScriptedModel(rows)
        self._lock = threading.Lock()
        self.calls = 0

    def complete(self, request: Any) -> Any:
        messages = [{"role": message.role, "content": message.text or ""} for message in request.messages]
        if request.system is not None:
            messages.insert(0, {"role": "system", "content": _text(request.system)})
        with self._lock:
            self.calls += 1
            text, _ = self._model.answer(messages)
        return Response(
            id=None,
            model="counted",
            message=Message.assistant([TextPart(text)]),
            finish_reason="stop",
            usage=Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def stream(self, request: Any) -> Any:
        return response_to_events(self.complete(request))

    def close(self) -> None:
        pass


def counted_lm(engine: CountingEngine) -> dspy.LM:
    """Asks for every answer anew."""
    return dspy.LM("openai/counted", engine=engine, cache=False, num_retries=0)


def _text(system: Any) -> str:
    return system if isinstance(system, str) else "".join(part.text for part in system)
