"""`messages.json` with its placeholders filled in is what a model server gets from DSPy, byte for byte."""

import contextlib
import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dspy
import pydantic
import pytest
from dspy.adapters.utils import serialize_for_json
from dspy.utils.exceptions import AdapterParseError

from dspy_service.prompts import Parts, fill_messages
from dspy_service_runner.optimizer.output.messages import messages_of
from scripted_lm import ScriptedServer

ADAPTERS = {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


class Mood(enum.Enum):
    CALM = "calm"
    CROSS = "cross"


class Person(pydantic.BaseModel):
    name: str
    tags: list[str] = []


class Typed(dspy.Signature):
    """Decide. {"an": "object"} & <tags> stay, and so does {text}."""

    person: Person = dspy.InputField()
    moods: list[Mood] = dspy.InputField(desc="how they feel")
    limits: dict[str, int] = dspy.InputField()
    count: int = dspy.InputField()
    sure: bool | None = dspy.InputField()
    verdict: Mood = dspy.OutputField()
    people: list[Person] = dspy.OutputField()


class Pictures(dspy.Signature):
    """Describe."""

    text: str = dspy.InputField()
    picture: dspy.Image = dspy.InputField()
    more: list[dspy.Image] = dspy.InputField()
    label: str = dspy.OutputField()


class Talk(dspy.Signature):
    """Answer."""

    text: str = dspy.InputField()
    earlier: dspy.History = dspy.InputField()
    label: str = dspy.OutputField()
    certain: bool = dspy.OutputField()


class Tools(dspy.Signature):
    """Call what helps."""

    text: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def weather(city: str, days: int = 1) -> str:
    """Tells the weather."""
    return f"{city} {days}"


def shown(*demos: Mapping[str, Any]) -> list[dspy.Example]:
    return [dspy.Example(demo, augmented=True) for demo in demos]


def with_demos(program: Any, *demos: Mapping[str, Any]) -> Any:
    for predictor in program.predictors():
        predictor.demos = shown(*demos)
    return program


IMAGE = dspy.Image(PICTURE["image_url"]["url"])  # type: ignore[index]
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "plain": (dspy.Predict("text -> label"), {"text": "Where is it?"}, {}),
    "chain of thought": (dspy.ChainOfThought("text -> label"), {"text": "  spaces \n\n"}, {}),
    "demos": (
        with_demos(
            dspy.Predict("text, tone -> label"), {"text": "a", "tone": "b", "label": "c"}, {"text": "d", "label": "e"}
        ),
        {"text": "x", "tone": "kind"},
        {},
    ),
    "placeholders in the values": (
        dspy.Predict("text, tone -> label"),
        {"text": "{{tone}} {{text}} {tone}", "tone": "{{text:1}}"},
        {},
    ),
    "placeholders in the instructions": (
        dspy.Predict(dspy.Signature("text, tone -> label", "Put {{text}} before {{tone:1}}.")),
        {"text": "a", "tone": "b"},
        {},
    ),
    "placeholders in the demos": (
        with_demos(dspy.Predict("text -> label"), {"text": "{{text}}", "label": "{{label}}"}),
        {"text": "a"},
        {},
    ),
    "lists in text": (dspy.Predict("text -> label"), {"text": ["one", "two\nlines", "«three»"]}, {}),
    "no list in text": (dspy.Predict("text -> label"), {"text": []}, {}),
    "one in a list": (dspy.Predict("text -> label"), {"text": ["one"]}, {}),
    "signs of other languages": (dspy.Predict("text -> label"), {"text": "é 漢字 \U0001f600 \\u0041 \x00"}, {}),
    "typed": (
        with_demos(
            dspy.Predict(Typed),
            {
                "person": Person(name="Ö"),
                "moods": [Mood.CALM],
                "limits": {"a": 1},
                "count": 2,
                "sure": None,
                "verdict": Mood.CROSS,
                "people": [Person(name="A", tags=["x"])],
            },
        ),
        {
            "person": Person(name="Zoë", tags=["a"]),
            "moods": [Mood.CALM, Mood.CROSS],
            "limits": {"x": 1},
            "count": 3,
            "sure": True,
        },
        {},
    ),
    "pictures": (
        with_demos(dspy.Predict(Pictures), {"text": "t", "picture": IMAGE, "more": [IMAGE], "label": "l"}),
        {"text": "which?", "picture": IMAGE, "more": [IMAGE, IMAGE]},
        {"picture": Parts([PICTURE]), "more": [Parts([PICTURE]), Parts([PICTURE])]},
    ),
    "tools": (dspy.Predict(Tools), {"text": "Rain?", "tools": [dspy.Tool(weather)]}, {}),
    "reason and act": (
        dspy.ReAct("text -> label", tools=[weather]),
        {"text": "a", "trajectory": "[[ ## thought ## ]]\nhm"},
        {},
    ),
}


class Anything:
    """A model that answers whatever it is asked, in no form."""

    def answer(self, _messages: Sequence[Mapping[str, Any]], _auth: str = "") -> tuple[str, str]:
        return "So be it.", "other"

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(model=Anything()) as running:
        running.keep_requests = True
        yield running


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, server: ScriptedServer) -> Iterator[str]:
    lm = dspy.LM("openai/scripted", api_base=server.url, api_key="none", cache=False, num_retries=0)
    with dspy.context(lm=lm, adapter=ADAPTERS[request.param]()):
        server.requests.clear()
        yield request.param


def sent(server: ScriptedServer, predictor: dspy.Predict, inputs: Mapping[str, Any]) -> Any:
    server.requests.clear()
    with contextlib.suppress(AdapterParseError):
        predictor(**inputs)
    return server.requests[0]["request"]["messages"]


@pytest.mark.parametrize("name", CASES)
def test_filled_in_it_is_what_the_model_gets(name: str, adapter: str, server: ScriptedServer) -> None:
    program, inputs, given = CASES[name]
    document = json.loads(json.dumps(messages_of(program)))
    assert document["adapter"] == adapter
    for predictor, lead in program.named_predictors():
        own = {key: value for key, value in inputs.items() if key in lead.signature.input_fields}
        values = {key: given.get(key, serialize_for_json(value)) for key, value in own.items()}
        filled = fill_messages(document, values, predictor=predictor)
        assert filled == sent(server, lead, own)


def test_earlier_turns_are_filled_in(adapter: str, server: ScriptedServer) -> None:
    program = with_demos(dspy.Predict(Talk), {"text": "t", "label": "l", "certain": True})
    turns = [{"text": "a <b> & {{label}}", "label": "x < y & z", "certain": True}, {"text": "c", "label": "d"}]
    turns[1]["certain"] = False
    document = json.loads(json.dumps(messages_of(program)))
    filled = fill_messages(document, {"text": "now"}, history=turns)
    assert filled == sent(server, program, {"text": "now", "earlier": dspy.History(messages=turns)})


def test_no_model_is_asked_and_nothing_of_the_program_changes(adapter: str, server: ScriptedServer) -> None:
    program = with_demos(dspy.ChainOfThought("text -> label"), {"text": "a", "label": "b"})
    before = program.dump_state()
    messages_of(program)
    assert program.dump_state() == before
    assert program.predictors()[0].lm is None
    assert server.requests == []


def test_tools_of_a_model_that_calls_functions_go_another_way(server: ScriptedServer) -> None:
    class Calling(dspy.LM):  # type: ignore[misc]
        @property
        def supports_function_calling(self) -> bool:
            return True

    lm = Calling("openai/scripted", api_base=server.url, api_key="none", cache=False)
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        document = messages_of(dspy.Predict(Tools))
        lead = dspy.Predict(Tools)
        wanted = sent(server, lead, {"text": "Rain?", "tools": [dspy.Tool(weather)]})
    assert document["predictors"]["self"]["sent_otherwise"] == ["tools"]
    assert fill_messages(document, {"text": "Rain?"}) == wanted
    assert server.requests[0]["request"]["tools"]


class Odd(dspy.Predict):  # type: ignore[misc]
    def forward(self, **kwargs: Any) -> Any:
        raise RuntimeError("not like this")


class Silent(dspy.Predict):  # type: ignore[misc]
    def forward(self, **kwargs: Any) -> Any:
        return dspy.Prediction(label="x")


@pytest.mark.parametrize(("kind", "why"), [(Odd, "not like this"), (Silent, "it asks no model")])
def test_a_predictor_that_cannot_be_shown_says_why(kind: type, why: str, adapter: str) -> None:
    document = messages_of(kind("text -> label"))
    assert why in document["predictors"]["self"]["not_shown"]
    with pytest.raises(ValueError, match=why):
        fill_messages(document, {"text": "x"})


@pytest.mark.parametrize(
    ("predictor", "inputs", "why"),
    [
        ("", {"text": "a"}, "Name the predictor: draft, review"),
        ("other", {"text": "a"}, "There is no predictor 'other'"),
        ("draft", {}, "missing or unknown: text"),
        ("draft", {"text": "a", "tone": "b"}, "missing or unknown: tone"),
    ],
)
def test_what_cannot_be_filled_in_is_named(predictor: str, inputs: dict[str, Any], why: str, adapter: str) -> None:
    program = dspy.Module()
    program.draft, program.review = dspy.Predict("text -> label"), dspy.Predict("label -> ok")
    with pytest.raises(ValueError, match=why):
        fill_messages(messages_of(program), inputs, predictor=predictor)
