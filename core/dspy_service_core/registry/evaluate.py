"""`evaluate` as the catalogue would have it. It is an optimizer of ours that changes nothing, so dspy's own catalogue
lacks it."""

from dspy_service_core.registry.catalogue import Callee, OptimizerAsset, Parameter

EVALUATE = "evaluate"
"""The alias by which jobs name it."""
PATH = "dspy_service_runner.optimizer.strategies.evaluate.Evaluate"
ASSET = OptimizerAsset(
    path=PATH,
    paths=(PATH,),
    init=Callee(parameters=()),
    compile=Callee(
        parameters=tuple(
            Parameter(name=name, kind="keyword", required=True, types=("object",)) for name in ("student", "trainset")
        )
    ),
)
