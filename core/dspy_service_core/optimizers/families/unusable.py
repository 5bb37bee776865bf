"""Optimizers that dspy has and that no job can use, each with its reason and what to take instead."""

from collections.abc import Iterator

from dspy_service_core.optimizers.family import Family, Json, Setup


class Unusable(Family):
    def __init__(self, why: str) -> None:
        self.unusable = why

    def objections(self, setup: Setup) -> Iterator[str]:
        yield f"{setup.name} cannot be used: {self.unusable}."

    def cel_of_optimizer(self, names: str) -> list[Json]:
        return [{"rule": f"!(self.name in {names})", "message": f"this optimizer cannot be used: {self.unusable}"}]


BROKEN = Unusable("its constructor fails in dspy 3.4.1, which has no dspy.TypedPredictor any more")
WEIGHTS = Unusable(
    "it tunes a model's weights, which takes a provider that trains models; a job optimizes prompts and leaves models "
    "as they are. Take dspy.BootstrapFewShot, which finds the same traces and shows them to the model as examples"
)
