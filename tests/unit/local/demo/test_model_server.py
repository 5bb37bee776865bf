"""The model server against real dspy: every answer parses, whatever the signature, the adapter and the load."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Literal

import dspy
import httpx
import pydantic
import pytest

from dspy_service_local.demo.model.server import MODEL, ModelServer

CHAT, JSON = dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()


class Mood(Enum):
    GOOD = "good mood"
    BAD = "bad mood"


class Address(pydantic.BaseModel):
    street: str
    number: int
    tags: list[str]
    kind: Literal["home", "work"]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(scope="module")
def lm(server: ModelServer) -> dspy.LM:
    return dspy.LM(f"openai/{MODEL}", api_base=server.url, api_key="none", cache=False)


VALUES: list[tuple[Any, Any]] = [
    (str, "t"),
    (int, 3),
    (float, 0.5),
    (bool, True),
    (Literal["a", "b"], "b"),
    (Literal[1, 2], 2),
    (Mood, Mood.BAD),
    (list[str], ["x"]),
    (dict[str, int], {"k": 1}),
    (str | None, "t"),
    (Address, Address(street="s", number=1, tags=[], kind="work")),
]


@pytest.mark.parametrize("adapter", [CHAT, JSON], ids=["chat", "json"])
@pytest.mark.parametrize(("kind", "value"), VALUES)
@pytest.mark.parametrize("demos", [0, 1])
def test_an_answer_of_every_type_parses(lm: dspy.LM, adapter: dspy.Adapter, kind: Any, value: Any, demos: int) -> None:
    signature = dspy.Signature("question: str -> answer: str").with_updated_fields("answer", type_=kind)
    program = dspy.ChainOfThought(signature)
    program.predict.demos = [dspy.Example(question="which weather", reasoning="r", answer=value)] * demos
    with dspy.context(lm=lm, adapter=adapter):
        prediction = program(question="which weather is it?")
    assert isinstance(prediction.reasoning, str)
    if demos:
        assert prediction.answer == value


@pytest.mark.parametrize("adapter", [CHAT, JSON], ids=["chat", "json"])
def test_it_answers_by_the_nearest_example(lm: dspy.LM, adapter: dspy.Adapter) -> None:
    program = dspy.Predict("question -> answer")
    asked = {"capital of France": "Paris", "colour of grass": "green"}
    program.demos = [dspy.Example(question=question, answer=answer) for question, answer in asked.items()]
    with dspy.context(lm=lm, adapter=adapter):
        assert program(question="which colour has grass?").answer == "green"
        assert program(question="what is France's capital?").answer == "Paris"


def test_a_plain_prompt_gets_a_plain_answer(lm: dspy.LM) -> None:
    assert "ping" in str(lm("ping")[0])


def test_the_same_prompt_is_answered_alike_unless_the_temperature_is_high(server: ModelServer) -> None:
    fields = "Your output fields are:\n1. `a` (Literal['red bike', 'red car']): \n"
    system = fields + "All interactions will be structured\nyour objective is: x"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "[[ ## q ## ]]\nred"}]
    with httpx.Client(base_url=server.url) as client:

        def ask(**options: Any) -> list[str]:
            answer = client.post("/chat/completions", json={"model": MODEL, "messages": messages, **options}).json()
            return [choice["message"]["content"] for choice in answer["choices"]]

        assert ask() == ask() == ask(temperature=0.1)
        assert ask(temperature=1.0) != ask(temperature=1.0)
        assert len(set(ask(n=2))) == 2


def test_it_speaks_openais_protocol(server: ModelServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/models").json()["data"][0]["id"] == MODEL
        answer = client.post(
            "/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
        )
        assert answer.json()["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"messages": 3}', b'{"messages": [3]}', b'{"messages": [], "n": "x"}']
)
def test_what_is_no_request_is_a_400(server: ModelServer, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_sixteen_threads_get_their_own_answers(lm: dspy.LM) -> None:
    program = dspy.Predict("question -> answer")
    program.demos = [dspy.Example(question=f"word{chr(97 + n) * 4}", answer=f"answer {n}") for n in range(16)]

    def ask(n: int) -> str:
        with dspy.context(lm=lm):
            return str(program(question=f"word{chr(97 + n % 16) * 4}").answer)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(320)))
    assert answers == [f"answer {n % 16}" for n in range(320)]


async def test_an_answer_leaves_at_once(server: ModelServer) -> None:
    """With Nagle's algorithm on, every answer would take the 40 ms of a delayed acknowledgement."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(base_url=server.url) as client:
        took = []
        for _ in range(30):
            begun = time.perf_counter()
            await client.post("/chat/completions", json=body)
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(0)
    assert min(took) < 0.03


def test_leaving_closes_the_port() -> None:
    with ModelServer() as server:
        assert httpx.get(f"{server.url}/models").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/models")
