"""Which states fit which programs, with DSPy's own programs and states; and what DSPy itself would have done."""

import copy
import json
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_core.checks import state_fit
from dspy_service_core.checks.state_fit import loadable, misfits, read_state, shape_problems

COPY = Path(__file__).parents[4] / "client/dspy_service/files/state_fit.py"


class Support(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> answer")
        self.steps = [dspy.Predict("answer -> summary"), dspy.Predict("answer, tone -> reply")]
        self.by = {"x": dspy.Predict("reply -> ok: bool")}


class Renamed(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.ChainOfThought("question -> answer")


class One(dspy.Module):
    def __init__(self, signature: str = "question -> answer") -> None:
        super().__init__()
        self.draft = dspy.ChainOfThought(signature)


class Described(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField(desc="as the customer wrote it")
    answer: str = dspy.OutputField(desc="in one word")


class Frozen(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.judge, self.draft = dspy.Predict("a -> b"), dspy.Predict("question -> answer")
        self.inner = One()
        self.inner._compiled = True


def state(program: dspy.Module) -> dict[str, Any]:
    """As `program.save` writes it."""
    saved = json.loads(json.dumps(program.dump_state()))
    return saved | {"metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.4.1", "cloudpickle": "3.1"}}}


def demonstrated(program: dspy.Module) -> dspy.Module:
    for predictor in program.predictors():
        predictor.demos = [dspy.Example(question="q", answer="a", augmented=True)]
        predictor.signature = predictor.signature.with_instructions("Think twice.")
    return program


def search(query: str) -> str:
    """Looks something up."""
    return query


FITTING = {
    "nested": (Support, Support),
    "lone": (lambda: dspy.Predict("q -> a"), lambda: dspy.Predict("q -> a")),
    "chain of thought": (lambda: dspy.ChainOfThought("q -> a"), lambda: dspy.ChainOfThought("q -> a")),
    "described": (lambda: dspy.Predict(Described), lambda: dspy.Predict(Described)),
    "react": (lambda: dspy.ReAct("q -> a", tools=[search]), lambda: dspy.ReAct("q -> a", tools=[search])),
    "frozen sub-module": (Frozen, Frozen),
    "no predictors of its own at call time, KNN": (
        lambda: dspy.Predict("question -> answer").reset_copy(),
        lambda: dspy.Predict("question -> answer"),
    ),
    "other types of the same names": (lambda: One("question -> answer"), lambda: One("question -> answer: int")),
}


@pytest.mark.parametrize("name", FITTING)
def test_a_state_of_the_same_shape_fits_and_loads(name: str) -> None:
    made, asked = FITTING[name]
    saved = state(demonstrated(made()))
    program = asked()
    assert misfits(saved, program.dump_state()) == []
    program.load_state(loadable(saved))
    assert all(predictor.signature.instructions == "Think twice." for predictor in program.predictors())
    assert [p.demos for p in program.predictors()] == [p["demos"] for p in predictors(saved)]


def predictors(saved: dict[str, Any]) -> list[dict[str, Any]]:
    return [saved] if "signature" in saved else [each for name, each in saved.items() if name != "metadata"]


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter])
def test_a_state_is_the_same_under_every_adapter(adapter: type[dspy.Adapter]) -> None:
    with dspy.context(adapter=adapter()):
        saved = state(One())
    assert misfits(saved, One().dump_state()) == []


def test_a_prefix_that_copro_wrote_for_the_last_field_fits() -> None:
    program = One()
    predictor = program.draft.predict
    predictor.signature = predictor.signature.with_updated_fields("answer", prefix="The capital is:")
    saved = state(program)
    assert misfits(saved, One().dump_state()) == []


MISFITS = {
    "renamed predictor": (
        Renamed,
        One,
        [
            "The state lacks 'draft.predict' of the program; it has 'write.predict'.",
            "The state has 'write.predict', which the program lacks; it has 'draft.predict'.",
        ],
    ),
    "more predictors": (
        Support,
        One,
        ["The state has 'steps[0]', 'steps[1]', 'by['x']', which the program lacks; it has 'draft.predict'."],
    ),
    "fewer predictors": (
        One,
        Support,
        ["The state lacks 'steps[0]', 'steps[1]', 'by['x']' of the program; it has 'draft.predict'."],
    ),
    "a lone predictor for a module": (
        lambda: dspy.Predict("question -> answer"),
        One,
        [
            "The state lacks 'draft.predict' of the program; it has 'self'.",
            "The state has 'self', which the program lacks; it has 'draft.predict'.",
        ],
    ),
    "more fields": (
        lambda: One("question, tone -> answer"),
        One,
        [
            "The predictor 'draft.predict' has the fields 'question', 'reasoning', 'answer'; in the state it has "
            "'question', 'tone', 'reasoning', 'answer'."
        ],
    ),
    "fewer fields": (
        lambda: dspy.Predict("question -> answer"),
        lambda: dspy.Predict("question -> answer, score: float"),
        [
            "The predictor 'self' has the fields 'question', 'answer', 'score'; in the state it has 'question', "
            "'answer'."
        ],
    ),
    "other fields": (
        lambda: dspy.Predict("text -> answer"),
        lambda: dspy.Predict("question -> answer"),
        ["The predictor 'self' has the fields 'question', 'answer'; in the state it has 'text', 'answer'."],
    ),
    "another output": (
        lambda: dspy.Predict("question -> label"),
        lambda: dspy.Predict("question -> answer"),
        ["The predictor 'self' has the fields 'question', 'answer'; in the state it has 'question', 'label'."],
    ),
    "fields in another order": (
        lambda: dspy.Predict("a, b -> c"),
        lambda: dspy.Predict("b, a -> c"),
        ["The predictor 'self' has the fields 'b', 'a', 'c'; in the state it has 'a', 'b', 'c'."],
    ),
    "other descriptions and names": (
        lambda: dspy.Predict(Described),
        lambda: dspy.Predict("text -> answer"),
        ["The predictor 'self' has the fields 'text', 'answer'; in the state it has 'Question', 'Answer'."],
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named(name: str) -> None:
    made, asked, said = MISFITS[name]
    assert misfits(state(made()), asked().dump_state()) == said


def test_dspy_itself_loads_most_of_them_without_a_word() -> None:
    silent = 0
    for made, asked, _ in MISFITS.values():
        try:
            asked().load_state(loadable(state(made())))
            silent += 1
        except KeyError:
            continue
    assert silent >= 6


BROKEN: dict[str, tuple[Any, str]] = {
    "a list": ([], "no JSON object"),
    "null": (None, "no JSON object"),
    "nothing": ({}, "holds no predictor"),
    "metadata alone": ({"metadata": {}}, "holds no predictor"),
    "a predictor of text": ({"draft": "x"}, "The state of 'draft' is no object."),
    "no signature": ({"draft": {"demos": []}}, "has no signature with instructions"),
    "no instructions": ({"draft": {"signature": {"fields": []}}}, "has no signature with instructions"),
    "fields that are none": ({"draft": {"signature": {"instructions": "x", "fields": [1]}}}, "no list of fields"),
    "no description": (
        {"draft": {"signature": {"instructions": "x", "fields": [{"prefix": "A:"}]}}},
        "no list of fields",
    ),
    "demos that are none": (
        {"draft": {"signature": {"instructions": "x", "fields": []}, "demos": [3]}},
        "The demos of the predictor 'draft'",
    ),
    "an unknown dependency": ({"metadata": {"dependency_versions": {"numpy": "2"}}, "a": {}}, "names 'numpy'"),
    "metadata of a list": ({"metadata": [], "a": {}}, "holds no dependency_versions"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_state_is_told_as_such(name: str) -> None:
    given, said = BROKEN[name]
    found = misfits(given, One().dump_state())
    assert len(found) == 1
    assert said in found[0]
    assert list(shape_problems(given)) == found


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '"state"', "[" * 100_000, b"\xff\xfe{"])
def test_what_is_no_json_object_cannot_be_read(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="The state is no JSON"):
        read_state(text)


def test_a_saved_file_is_read_as_it_is(tmp_path: Path) -> None:
    demonstrated(program := Support()).save(tmp_path / "state.json")
    read = read_state((tmp_path / "state.json").read_bytes())
    assert misfits(read, Support().dump_state()) == []
    assert loadable(read) == program.dump_state()


def test_models_and_foreign_keys_are_not_loaded() -> None:
    saved = state(One())
    saved["draft.predict"] |= {"lm": {"model": "openai/x", "api_base": "http://elsewhere"}, "forward": "x"}
    before = copy.deepcopy(saved)
    program = One()
    program.load_state(loadable(saved))
    assert program.draft.predict.lm is None
    assert "forward" not in vars(program.draft.predict)
    assert saved == before


def test_a_huge_state_makes_a_short_message() -> None:
    saved = {f"{n:0>200}": {"signature": {"instructions": "", "fields": []}} for n in range(5000)}
    found = misfits(saved, One().dump_state())
    assert max(map(len, found)) < 1000
    assert "and 4990 more" in found[0]


def test_the_clients_copy_is_the_same() -> None:
    assert COPY.read_text() == Path(state_fit.__file__).read_text()
