"""How the humble model answers and proposes, rule by rule."""

import json
from typing import Any

import pytest

from dspy_service_local.demo.model.arithmetic import answer_by_numbers, numbers_in
from dspy_service_local.demo.model.hints import hint_texts, learn, without_hints, write, written_hints
from dspy_service_local.demo.model.prompt import Prompt
from dspy_service_local.demo.model.propose import RULES
from dspy_service_local.demo.model.shown import Shown, shown_examples
from dspy_service_local.demo.model.task import nearest_answer
from dspy_service_local.demo.model.text import similarities

TEAMS = ("billing", "repairs")
GIVEN = [("my card was charged twice", "billing"), ("the chain of my bike fell off", "repairs")]
GEPA: list[dict[str, Any]] = [
    {"Inputs": {"text": "a"}, "Generated Outputs": {"team": "x"}, "Feedback": "team must be 'billing', not 'x'."},
    {"Inputs": {"text": "b"}, "Generated Outputs": {"team": "app"}, "Feedback": "Correct."},
    {"Inputs": {"text": "c"}, "Generated Outputs": {"team": "app"}, "Feedback": "This is incorrect."},
    {"Inputs": {"text": "d"}, "Generated Outputs": {"team": "app"}, "Feedback": "This trajectory got a score of 1.0."},
    {"Inputs": {"text": "e"}, "Generated Outputs": "unparsable", "Feedback": "should be `safety`"},
]
PRINTED = (
    "[Example({'text': \"it's a\", 'team': 'x'}) (input_keys={'text'}), "
    "Example({'text': 'b', 'team': 'y'}) (input_keys={'text'})]"
)
BLOCKS = "".join(
    f"Input Fields:\ntext: {text}\n\n=========\nOutput Fields:\nteam: {team}\n\n"
    for text, team in [("a", "x"), ("b", "y")]
)


@pytest.mark.parametrize(
    ("text", "objective", "given", "answer"),
    [
        ("chain broken", "", GIVEN, "repairs"),
        ("you charged me", "", GIVEN, "billing"),
        ("needs repair", "", [], "repairs"),
        ("completely unknown words", "", [], "billing"),
        ("flat tyre", "billing: money, cards. repairs: tyre, chain, brakes.", [], "repairs"),
        ("a card", "- repairs: tyre, chain\n- billing: money, card", [], "billing"),
        ("flat tyre", "For billing look for: card.\nFor repairs look for: tyre.", GIVEN, "repairs"),
    ],
)
def test_the_nearest_answer(text: str, objective: str, given: list[tuple[str, str]], answer: str) -> None:
    assert nearest_answer(text, TEAMS, given, objective) == answer


def test_variants_are_the_next_likely_answers() -> None:
    given = [("a red bike", "x"), ("a red car", "y"), ("a boat", "z")]
    answers = [nearest_answer("red bike car", ("x", "y", "z"), given, "", variant) for variant in range(4)]
    assert set(answers) == {"x", "y"}
    assert answers[:2] == answers[2:]


def test_typos_are_nearer_than_nothing() -> None:
    assert similarities("refnd my payement", ["refund of a payment", "flat tyre"])[0] > 0.1


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (
            {"examples": PRINTED},
            [Shown("it's a", "x"), Shown("b", "y")],
        ),
        (
            {"task_demos": "Text: a\nb\nReasoning: r\nTeam: x\n\nText: c\nTeam: y\n\n"},
            [Shown("a\nb", "x"), Shown("c", "y")],
        ),
        ({"task_demos": "No task demos provided."}, []),
        (
            {"examples_with_feedback": json.dumps(GEPA)},
            [Shown("a", "billing"), Shown("b", "app"), Shown("d", "app"), Shown("e", "safety")],
        ),
        ({"examples_with_feedback": "broken"}, []),
        ({"program_inputs": '{"text": "a"}', "oracle_metadata": '{"team": "x"}'}, [Shown("a", "x")]),
        (
            {"examples_text": BLOCKS},
            [Shown("a", "x"), Shown("b", "y")],
        ),
        ({"examples": "nothing of the kind"}, []),
    ],
)
def test_examples_are_found_in_every_optimizers_format(inputs: dict[str, str], found: list[Shown]) -> None:
    assert shown_examples(inputs) == found


def test_hints_are_learnt_written_and_read_again() -> None:
    shown = [
        Shown("refund for a charged card", "billing"),
        Shown("refund my money", "billing"),
        Shown("a card and a chain", "repairs"),
    ]
    text = write(learn(shown, {}))
    assert text.splitlines()[0].startswith("For billing look for: refund")
    assert set(written_hints("Intro.\n" + text + "\nMore.")) == {"billing", "repairs"}
    assert without_hints(f"Intro.\n\n{text}\n\nMore.") == "Intro.\n\nMore."


def test_words_of_many_labels_are_no_hints() -> None:
    text = write(learn([Shown(f"bike {label}word", label) for label in ("one", "two", "three")], {}))
    assert "bike" not in text
    assert "oneword" in text


def test_hints_do_not_grow_without_end() -> None:
    hints = learn([Shown(" ".join(f"word{'x' * n}" for n in range(1, 100)), "a")], {})
    assert len(write(hints).split(", ")) <= 30


def test_a_sentence_about_two_labels_is_a_hint_for_none() -> None:
    assert hint_texts("billing or repairs may be asked about tyres", TEAMS) == ["", ""]


def proposal(field: str, inputs: dict[str, str], variant: int = 0) -> Any:
    return RULES[field](Prompt(inputs=inputs), variant)


def test_an_instruction_keeps_the_old_one_and_adds_what_the_examples_teach() -> None:
    inputs = {"current_instruction": "Route it.", "examples_with_feedback": json.dumps(GEPA)}
    inputs["examples_with_feedback"] = inputs["examples_with_feedback"].replace('"a"', '"wrong invoice"')
    first = proposal("new_instruction", inputs)
    assert first.startswith("Route it.")
    assert "For billing look for: " in first
    assert "invoice" in first
    again = proposal("new_instruction", {**inputs, "current_instruction": first})
    assert again.count("For billing look for") == 1
    assert again.count("Route it.") == 1


def test_variants_of_an_instruction_differ() -> None:
    inputs = {"basic_instruction": "Route it."}
    assert len({proposal("proposed_instruction", inputs, variant) for variant in range(4)}) == 4


def test_copro_goes_on_from_its_best_attempt() -> None:
    attempts = (
        "[1] «Instruction #1: Bad.»\n[2] «Prefix #1: A»\n[3] «Resulting Score #1: 1»\n[4] «Instruction #2: Good.»\n"
    )
    assert proposal("proposed_instruction", {"attempted_instructions": attempts}).startswith("Good.")


def test_advice_is_for_the_modules_asked_about() -> None:
    inputs = {
        "module_names": '["a", "b.predict"]',
        "program_inputs": '{"t": "invoice"}',
        "oracle_metadata": '{"l": "billing"}',
    }
    advice = proposal("module_advice", inputs)
    assert list(advice) == ["a", "b.predict"]
    assert "invoice" in advice["a"]


def test_a_batch_without_examples_is_complete() -> None:
    assert proposal("observations", {"examples": "", "prior_observations": "x"}) == "COMPLETE"


@pytest.mark.parametrize(
    ("question", "given", "answer"),
    [
        ("3 apples and 4 pears?", [], 12),
        ("3 apples and 4 pears, how many in all?", [("2 apples and 5 pears, how many in all?", "2+5=7\n#### 7")], 7),
        ("1,000 less 10", [("50 less 20", "30")], 990),
        ("half of 8", [], 4),
        ("no number", [], 0),
        ("one 5", [], 5),
        ("5 by 0", [("6 by 2", "3")], 0),
    ],
)
def test_arithmetic(question: str, given: list[tuple[str, str]], answer: float) -> None:
    assert answer_by_numbers(question, given) == answer


def test_numbers() -> None:
    assert numbers_in("Two for $1,250.50, a dozen for 3%") == [2, 1250.5, 12, 3]
