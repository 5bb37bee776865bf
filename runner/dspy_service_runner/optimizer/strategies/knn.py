"""KNNFewShot: whenever the program runs, the rows that are nearest to its input become its demos.

It scores no candidates, and what it does to a program is in no state: what the program looks up is kept beside the
state, in `knn.json`. Where only dspy is installed, the same program is made of both:

    rows = [dspy.Example(row).with_inputs(*knn["inputs"]) for row in knn["trainset"]]
    embedder = dspy.Embedder(**knn["vectorizer"])
    dspy.KNNFewShot(knn["k"], rows, embedder, **knn["few_shot_bootstrap_args"]).compile(program)

So rows must be what JSON gives back, and the metric has no say in which demos are made: there is none where the program
is loaded.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import dspy

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.json_form import is_finite
from dspy_service_runner.optimizer.program_state import plain_demo
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy
from dspy_service_runner.optimizer.values.rows import row_number

_OWN = ("k", "vectorizer")
"""Arguments of its own; all others are for the BootstrapFewShot that makes the demos."""
_SCALARS = (str, int, float, bool, type(None))


class Nearest(Strategy):
    state_tells = False

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        """It is constructed only by `compile`: that embeds all rows, and no model is asked before the preflight."""
        for row in plan.splits.train:
            _refuse_unkeepable(plan, row)
        return functools.partial(plan.optimizer, trainset=rows_of(plan), **plan.kwargs)

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        compiled: dspy.Module = optimizer().compile(plan.program.reset_copy())  # as its state has it: without demos
        return compiled

    def records(self, plan: Plan) -> Mapping[str, Any]:
        return {
            pod_files.NEAREST_ROWS: {
                "k": plan.kwargs["k"],
                "vectorizer": plan.kwargs["vectorizer"].record(),
                "few_shot_bootstrap_args": {name: v for name, v in plan.kwargs.items() if name not in _OWN},
                "inputs": list(plan.splits.train[0].inputs().keys()),
                "trainset": [dict(row.items()) for row in rows_of(plan)],
            }
        }


def rows_of(plan: Plan) -> list[dspy.Example]:
    """The training rows as they come back from JSON. Outputs are only shown, and look as before."""
    fields = {name: field for p in plan.program.predictors() for name, field in p.signature.fields.items()}
    return [plain_demo(row, fields).with_inputs(*row.inputs().keys()) for row in plan.splits.train]


def _refuse_unkeepable(plan: Plan, row: dspy.Example) -> None:
    """An input goes into the program anew wherever it is loaded, so it must be what it was. What is only shown needs no
    more than to be finite."""
    inputs = row.inputs()
    for name, value in row.items():
        if not (_is_json(value) if name in inputs else is_finite(value)):
            raise JobFailed(
                "InvalidOptimizer",
                f"Optimizer '{plan.name}' keeps its rows in the artifact, as JSON, and '{name}' of row "
                f"{row_number(row)} cannot be that: it is a {type(value).__name__}. Take an optimizer whose demos are "
                "in the program's state, such as dspy.BootstrapFewShotWithRandomSearch.",
            )


def _is_json(value: Any) -> bool:
    """Also excludes subclasses, such as a text's enum, which come back as plain values."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_json, value.values()))
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) in _SCALARS and is_finite(value)
