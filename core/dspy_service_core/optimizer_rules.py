"""What DSPy's optimizers demand of their arguments beyond types, as far as it is known before the run.

A rule is a generator of objections; `RULES` says which optimizer has which. Read in dspy 3.4.1's source.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from dspy_service_core.catalogue import OptimizerAsset
from dspy_service_core.splits import Counts, Fractions, fewest_rows
from dspy_service_core.words import Words

_MIPRO_AUTO_ROWS = {"light": 100, "medium": 300, "heavy": 1000}
_MIPRO_MINIBATCH_ABOVE = 50
_GEPA_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")
_GEPA_OWN = (
    "run_dir",
    "callbacks",
    "stop_callbacks",
    "reflection_lm",
    "seed_candidate",
    "adapter",
    "trainset",
    "valset",
)


@dataclass(frozen=True, slots=True)
class FieldWords:
    """How the sender of a job calls the fields that an optimizer has to do with."""

    optimizer_kwargs: str
    compile_kwargs: str
    split: str
    reflection: str

    @classmethod
    def of(cls, words: Words) -> "FieldWords":
        return cls(
            optimizer_kwargs=words("spec.optimizer.kwargs"),
            compile_kwargs=words("spec.optimizer.compileKwargs"),
            split=words("spec.split"),
            reflection=words("spec.models.reflection"),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """An optimizer as it would be run. `counts` is None where the number of rows is not known."""

    name: str
    asset: OptimizerAsset
    kwargs: Mapping[str, JsonValue]
    compile_kwargs: Mapping[str, JsonValue]
    counts: Counts | None
    fractions: Fractions
    roles: frozenset[str]
    fields: FieldWords

    def option(self, name: str) -> JsonValue:
        return _given_or_default(self.asset.init.find(name), self.kwargs, name)

    def compile_option(self, name: str) -> JsonValue:
        return _given_or_default(self.asset.compile.find(name), self.compile_kwargs, name)

    def rows_for(self, split: str, wanted: int) -> str:
        """What would help a split with too few rows."""
        rows = fewest_rows(split, wanted, self.fractions)
        share = f"a larger share in {self.fields.split}.{split}"
        return f"send at least {rows} rows, or give it {share}" if rows else f"give it {share}"


Rule = Callable[[Plan], Iterator[str]]


def objections(plan: Plan) -> Iterator[str]:
    for rule in RULES.get(plan.asset.path, ()):
        yield from rule(plan)


def _given_or_default(parameter: object, given: Mapping[str, JsonValue], name: str) -> JsonValue:
    if name in given:
        return given[name]
    return getattr(parameter, "default", None)


def _whole(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _mipro_budget(plan: Plan) -> Iterator[str]:
    own = {
        f"{plan.fields.optimizer_kwargs}.num_candidates": plan.option("num_candidates"),
        f"{plan.fields.compile_kwargs}.num_trials": plan.compile_option("num_trials"),
    }
    if plan.option("auto") is not None:
        for path, value in own.items():
            if value is not None:
                auto = f"{plan.fields.optimizer_kwargs}.auto"
                yield f"{path} conflicts with {auto} '{plan.option('auto')}': give one, the other null."
    missing = [path for path, value in own.items() if value is None]
    if plan.option("auto") is None and missing:
        yield f"{plan.name} with auto null needs {' and '.join(own)}; missing: {', '.join(missing)}."


def _mipro_minibatch(plan: Plan) -> Iterator[str]:
    size = _whole(plan.compile_option("minibatch_size"))
    if plan.counts is None or size is None or not plan.counts.train:
        return
    auto = plan.option("auto")
    rows = plan.counts.val or min(1000, max(1, int(plan.counts.train * 0.8)))
    minibatch = plan.compile_option("minibatch")
    if isinstance(auto, str):
        rows = min(rows, _MIPRO_AUTO_ROWS.get(auto, rows))
        minibatch = rows > _MIPRO_MINIBATCH_ABOVE
    if minibatch and size > rows:
        yield (
            f"{plan.fields.compile_kwargs}.minibatch_size {size} exceeds the {rows} validation rows: lower it, set "
            f"{plan.fields.compile_kwargs}.minibatch to false, or {plan.rows_for('val', size)}."
        )


def _mipro_permission(plan: Plan) -> Iterator[str]:
    if plan.compile_option("requires_permission_to_run"):
        yield f"{plan.fields.compile_kwargs}.requires_permission_to_run must be false: nobody could confirm."


def _gepa_budget(plan: Plan) -> Iterator[str]:
    given = [name for name in _GEPA_BUDGETS if plan.option(name) is not None]
    if len(given) != 1:
        said = f"it has {' and '.join(given)}" if given else "it has none"
        yield f"{plan.name} needs exactly one of {', '.join(_GEPA_BUDGETS)} in {plan.fields.optimizer_kwargs}; {said}."


def _gepa_reflection(plan: Plan) -> Iterator[str]:
    if "reflection" not in plan.roles:
        yield f"{plan.name} needs a reflection model: give {plan.fields.reflection}."


def _gepa_options(plan: Plan) -> Iterator[str]:
    path = plan.fields.optimizer_kwargs
    if plan.option("track_best_outputs") and not plan.option("track_stats"):
        yield f"{path}.track_best_outputs needs {path}.track_stats to be true."
    further = plan.option("gepa_kwargs")
    for name, value in further.items() if isinstance(further, dict) else ():
        if name in _GEPA_OWN:
            yield f"{path}.gepa_kwargs.{name} cannot be set: the service sets it."
        if name == "reflection_prompt_template" or (name == "max_reflection_cost" and value is not None):
            yield f"{path}.gepa_kwargs.{name} is not supported by dspy.GEPA."


def _simba_batch(plan: Plan) -> Iterator[str]:
    size = _whole(plan.option("bsize"))
    if plan.counts is not None and size is not None and plan.counts.train < size:
        yield (
            f"{plan.name} needs at least {size} training rows (its bsize), and gets {plan.counts.train}: "
            f"{plan.rows_for('train', size)}, or lower {plan.fields.optimizer_kwargs}.bsize."
        )


def _copro_breadth(plan: Plan) -> Iterator[str]:
    breadth = plan.option("breadth")
    if _whole(breadth) is None or breadth <= 1:  # type: ignore[operator]  # it is an int here
        yield f"{plan.fields.optimizer_kwargs}.breadth must be greater than 1, not {breadth}."


def _copro_evaluation(plan: Plan) -> Iterator[str]:
    path, given = f"{plan.fields.compile_kwargs}.eval_kwargs", plan.compile_option("eval_kwargs")
    if not isinstance(given, dict | None):
        yield f"{path} must be an object of keyword arguments of dspy.Evaluate."
    for name in ("devset", "metric"):
        if isinstance(given, dict) and name in given:
            yield f"{path}.{name} cannot be set: the service sets it."


def _random_search(plan: Plan) -> Iterator[str]:
    demos, programs = plan.option("max_bootstrapped_demos"), _whole(plan.option("num_candidate_programs"))
    if programs and not demos:
        yield f"{plan.fields.optimizer_kwargs}.max_bootstrapped_demos must be at least 1 for {plan.name}, not {demos}."
    restrict = plan.compile_option("restrict")
    if restrict is None or programs is None:
        return
    seeds = range(-3, programs)
    if not isinstance(restrict, list) or not any(seed in seeds for seed in restrict if _whole(seed) is not None):
        yield f"{plan.fields.compile_kwargs}.restrict must be a list of seeds, one of them in {seeds[0]}..{seeds[-1]}."


def _two_training_rows(plan: Plan) -> Iterator[str]:
    """Without validation rows it splits the training rows."""
    if plan.counts is not None and not plan.counts.val and plan.counts.train < 2:
        yield f"{plan.name} needs 2 training rows where there are no validation rows: {plan.rows_for('train', 2)}."


def _broken_avatar(plan: Plan) -> Iterator[str]:
    yield f"{plan.name} cannot be used: its constructor fails in dspy 3.4.1, which has no dspy.TypedPredictor any more."


RULES: Mapping[str, tuple[Rule, ...]] = {
    "dspy.AvatarOptimizer": (_broken_avatar,),
    "dspy.BootstrapFewShotWithRandomSearch": (_random_search,),
    "dspy.COPRO": (_copro_breadth, _copro_evaluation),
    "dspy.GEPA": (_gepa_budget, _gepa_reflection, _gepa_options),
    "dspy.InferRules": (_two_training_rows,),
    "dspy.MIPROv2": (_mipro_budget, _mipro_permission, _two_training_rows, _mipro_minibatch),
    "dspy.SIMBA": (_simba_batch,),
}
