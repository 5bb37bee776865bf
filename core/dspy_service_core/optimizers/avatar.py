"""AvatarOptimizer, which dspy ships and cannot run."""

from collections.abc import Iterator

from dspy_service_core.optimizers.family import Family, Setup


def _broken(setup: Setup) -> Iterator[str]:
    why = "its constructor fails in dspy 3.4.1, which has no dspy.TypedPredictor any more"
    yield f"{setup.name} cannot be used: {why}."


class Avatar(Family):
    rules = (_broken,)
