"""The models with which SIMBA samples: copies of each predictor's own, at other rollouts."""

import threading
from typing import Any

import dspy
import pytest

from dspy_service_runner.optimizer.strategies.simba import own_models, spread

FIRST, SECOND, CONFIGURED, TEACHER = (
    dspy.LM(f"openai/{name}") for name in ("first", "second", "configured", "teacher")
)


class Routed(dspy.Module):
    def __init__(self, *models: Any) -> None:
        super().__init__()
        self.steps = [dspy.Predict("question -> answer") for _ in models]
        for step, model in zip(self.steps, models, strict=True):
            step.lm = model


class Locked(Routed):
    """dspy copies its attributes one by one."""

    def __init__(self, *models: Any) -> None:
        super().__init__(*models)
        self.lock = threading.Lock()
        self.last = dspy.Predict("answer -> kind")
        self.last.lm = models[0]


def sampled(program: dspy.Module, n: int, teacher_settings: Any = None) -> list[list[Any]]:
    """As SIMBA does it: the models of each predictor, by sample."""
    given = program.deepcopy()
    found = []
    with dspy.context(lm=CONFIGURED):
        for model in own_models(given, n, teacher_settings):
            sample = given.deepcopy()
            sample.set_lm(model)
            spread(sample)
            found.append([predictor.lm for predictor in sample.predictors()])
    return found


@pytest.mark.parametrize(
    ("program", "names"),
    [
        (Routed(FIRST, SECOND), ["first", "second"]),
        (Routed(FIRST, None), ["first", "configured"]),
        (Routed(None, None), ["configured", "configured"]),
        (Locked(FIRST, SECOND), ["first", "second", "first"]),
    ],
)
def test_each_predictor_is_sampled_with_copies_of_its_own_model(program: dspy.Module, names: list[str]) -> None:
    before = [predictor.lm for predictor in program.predictors()]

    samples = sampled(program, 3)

    assert [[lm.model for lm in sample] for sample in samples] == [[f"openai/{name}" for name in names]] * 3
    asked = [{(lm.kwargs["rollout_id"], lm.kwargs["temperature"]) for lm in sample} for sample in samples]
    assert asked == [{(0, 1.0)}, {(1, 1.0)}, {(2, 1.0)}]
    assert [predictor.lm for predictor in program.predictors()] == before


def test_predictors_with_one_model_share_its_copy() -> None:
    """BestOfN and Refine refuse a module whose predictors have different models."""
    for first, second, third in sampled(Routed(FIRST, SECOND, FIRST), 2):
        assert first is third is not second


def test_a_teacher_is_the_first_sample_of_all() -> None:
    samples = sampled(Routed(FIRST, SECOND), 2, {"lm": TEACHER})

    assert [[lm.model for lm in sample] for sample in samples] == [
        ["openai/teacher", "openai/teacher"],
        ["openai/first", "openai/second"],
    ]


def test_a_candidate_that_is_scored_keeps_its_models() -> None:
    program = Routed(FIRST, None)

    spread(program)

    assert [predictor.lm for predictor in program.predictors()] == [FIRST, None]
