"""`dspy.Ensemble`: joins whole programs, which all answer, and of whose answers the most frequent is taken.

    optimizer_kwargs: {"programs": ["<job id>", "<job id>"], "reduce_fn": {"name": "majority", "field": "label"}}

It trains on nothing and scores nothing: programs are those of earlier jobs, and each call of the joined program calls
all of them, or `size` of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.optimizers import cel
from dspy_service_core.optimizers.calls import Calls, no_calls
from dspy_service_core.optimizers.family import Family, Json, Setup
from dspy_service_core.optimizers.options import Options, whole
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import Callee, OptimizerAsset, Parameter

PROGRAMS, REDUCE, SIZE = "programs", "reduce_fn", "size"
MAJORITY = "majority"
_NAMES = (MAJORITY, "dspy.majority")
_SHAPE = '{"name": "majority", "field": "label"}'


@dataclass(frozen=True, slots=True)
class Reduction:
    """How the answers become one. `field` is the one that is counted; None for the last one of the answers."""

    field: str | None = None


def reduction(kwargs: Mapping[str, Any]) -> Reduction | None:
    """Of an ensemble's kwargs; null counts as not given. None for what is no reduction."""
    given = kwargs.get(REDUCE)
    if given is None or given in _NAMES:
        return Reduction()
    if (
        not isinstance(given, Mapping)
        or not {"name"} <= given.keys() <= {"name", "field"}
        or given["name"] not in _NAMES
    ):
        return None
    field = given.get("field")
    return Reduction(field) if field is None or (isinstance(field, str) and field) else None


def _reduce(setup: Setup) -> Iterator[str]:
    if reduction(setup.options.init) is None:
        yield (
            f'{setup.kwargs}.{REDUCE} must be "{MAJORITY}", or names the field that is counted, such as {_SHAPE}: no '
            "other function can be given as JSON, and without one an ensemble returns a list, which no metric scores."
        )


def _size(setup: Setup) -> Iterator[str]:
    size, programs = setup.options.init.get(SIZE), setup.programs
    if size is None:
        return
    if whole(size) is None or size < 1 or (programs is not None and size > programs):
        most = "" if programs is None else f" of the {programs} programs"
        yield f"{setup.kwargs}.{SIZE} must be how many{most} answer each time, 1 or more, and is {size!r}; null is all."


def _deterministic(setup: Setup) -> Iterator[str]:
    if setup.options.init.get("deterministic"):
        yield (
            f"{setup.kwargs}.deterministic must be false: DSPy has not built the other yet. Without {SIZE}, all of the "
            "programs answer, each time."
        )


class Joined(Family):
    rules = (_reduce, _size, _deterministic)
    chainable = False
    joins = True

    def arguments(self, asset: OptimizerAsset) -> OptimizerAsset:
        """As JSON: dspy's own take Python objects."""
        keyword = "keyword"
        init = Callee(
            parameters=(
                Parameter(name=PROGRAMS, kind=keyword, types=("list", "null")),
                Parameter(name=REDUCE, kind=keyword, default=MAJORITY, types=("str", "dict", "null")),
                Parameter(name=SIZE, kind=keyword, types=("int", "null")),
                Parameter(name="deterministic", kind=keyword, default=False, types=("bool", "null")),
            )
        )
        return asset.model_copy(update={"init": init, "compile": Callee(parameters=())})

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return no_calls(predictors)

    def typed_kwargs(self) -> dict[str, Json]:
        """Without `reduce_fn`, which is a text or an object: no type of the schema says that."""
        return {"kwargs": {SIZE: cel.number("How many of the joined programs answer each time (Ensemble).")}}

    def cel_of_optimizer(self, names: str) -> list[Json]:
        size = f"self.kwargs.{SIZE}"
        return [
            {
                "rule": f"!(self.name in {names}) || !has(self.kwargs) || !has({size}) || {size} >= 1",
                "message": f"Ensemble needs kwargs.{SIZE} to be 1 or more: so many of the programs answer each time",
            }
        ]

    def cel_of_spec(self, names: str) -> list[Json]:
        return [
            {
                "rule": f"!(self.optimizer.name in {names}) || has(self.joined)",
                "message": "this optimizer joins the programs in joined; ids of jobs are for the HTTP API, which reads "
                "them for whoever asks",
            }
        ]
