"""Optimizers that DSPy does not know, as an operator of the service might register them."""

from typing import Any

import dspy
from dspy.teleprompt.teleprompt import Teleprompter


class FirstDemos(Teleprompter):  # type: ignore[misc]  # dspy is untyped
    """Tries the first one, two, ... rows as demos, and keeps the best."""

    def __init__(self, metric: Any, most: int = 2) -> None:
        self._metric, self._most = metric, most

    def compile(self, student: Any, *, trainset: list[Any], valset: list[Any]) -> Any:
        tried = [self._with_demos(student, trainset[:count]) for count in range(1, self._most + 1)]
        return max(tried, key=lambda program: dspy.Evaluate(devset=valset, metric=self._metric)(program).score)

    def _with_demos(self, student: Any, demos: list[Any]) -> Any:
        program = student.deepcopy()
        for predictor in program.predictors():
            predictor.demos = demos
        return program


class Forgetful(Teleprompter):  # type: ignore[misc]  # dspy is untyped
    def compile(self, student: Any, *, trainset: list[Any]) -> None:
        return None


class Broken(Teleprompter):  # type: ignore[misc]  # dspy is untyped
    def compile(self, student: Any, *, trainset: list[Any]) -> None:
        raise RuntimeError("out of ideas")


class Proposing(Teleprompter):  # type: ignore[misc]  # dspy is untyped
    """Asks for one instruction before each candidate, and gives up, as one does that knows no refusals."""

    def __init__(self, metric: Any, candidates: int = 2, raises: str = "as it came") -> None:
        self._metric, self._candidates, self._raises = metric, candidates, raises

    def compile(self, student: Any, *, trainset: list[Any], valset: list[Any]) -> Any:
        tried = []
        for _ in range(self._candidates):
            program = student.deepcopy()
            for predictor in program.predictors():
                predictor.signature = predictor.signature.with_instructions(self._propose(len(tried)))
            tried.append((dspy.Evaluate(devset=valset, metric=self._metric)(program).score, program))
        return max(tried, key=lambda scored: scored[0])[1]

    def _propose(self, number: int) -> str:
        try:
            return str(dspy.Predict("number: int -> proposed_instruction")(number=number).proposed_instruction)
        except Exception as error:
            if self._raises == "as it came":
                raise
            if self._raises == "another":
                raise AssertionError("no proposal") from error
        raise RuntimeError("out of ideas")
