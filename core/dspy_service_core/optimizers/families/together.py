"""BetterTogether: a chain of prompt optimizers, each given by its name and arguments under a name of the job's own.

    optimizer_kwargs: {"p": {"name": "simba"}, "g": {"name": "gepa", "kwargs": {"auto": "light"}}}
    compile_kwargs: {"strategy": "p -> g", "optimizer_compile_args": {"p": {"labeled_sample": false}}}

The optimizers are dspy's own, by the names that every installation knows: the pod has no registry file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from dspy_service_core.optimizers.calls import Calls, at_least, exactly
from dspy_service_core.optimizers.family import Family, Part, Setup
from dspy_service_core.optimizers.options import Options, UnknownOption
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry import registry
from dspy_service_core.registry.catalogue import OptimizerAsset

_ARROW = " -> "
_SHAPE = '{"name": "gepa", "kwargs": {"auto": "light"}}'
COMPILE_ARGUMENTS = "optimizer_compile_args"
_NOT_NAMED = ("metric",)


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands under one name, as far as it has the right shape."""

    name: str
    kwargs: Mapping[str, Any]

    @property
    def asset(self) -> OptimizerAsset | None:
        """None for what is no optimizer of dspy's own; raises `UnknownName` for what nobody knows."""
        return registry.default().optimizers.resolve(self.name).asset


class Together(Family):
    chainable = False

    def __init__(self, family_of: Callable[[str], Family]) -> None:
        self._family_of = family_of

    def parts(self, options: Options) -> Mapping[str, Part]:
        arguments = _compile_arguments(options)
        found = {}
        for key, value in _entries(options):
            given = _given(value)
            if given and (asset := _known(given)):
                asset = self._family_of(asset.path).arguments(asset)
                found[key] = Part(given.name, asset, given.kwargs, arguments.get(key) or {})
        return found

    def objections(self, setup: Setup) -> Iterator[str]:
        yield from _shapes(setup)
        parts = self.parts(setup.options)
        yield from _ratio(setup)
        yield from _strategy(setup, parts)
        for key, part in parts.items():
            family = self._family_of(part.asset.path)
            if not (family.chainable and family.optimizes):
                yield f"{setup.kwargs}.{key} cannot be '{part.name}': it is no step of a chain."
            yield from family.objections(_setup_of(key, part, setup))

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        counts = _held_out(options, counts)
        return counts.val or counts.train

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        """The given program and that of each step are scored on the validation rows, beside what the steps score."""
        parts, inner = self.parts(options), _held_out(options, counts)
        if not steps_of(options):
            raise UnknownOption("strategy")
        steps = []
        for key in steps_of(options):
            if key not in parts:
                raise UnknownOption(key)
            part = parts[key]
            steps.append(self._family_of(part.asset.path).calls(part.options, inner, predictors))
        own = Calls(exactly((1 + len(steps)) * inner.val), exactly(0), exactly(0), predictors)
        known = [each for each in steps if each is not None]
        return reduce(_joined, known, own) if len(known) == len(steps) else None

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        """The program as given is scored, and the first step has something to score."""
        steps, parts, inner = steps_of(options), self.parts(options), _held_out(options, counts)
        if not steps or steps[0] not in parts:
            return None
        part = parts[steps[0]]
        first = self._family_of(part.asset.path).first_try(part.options, inner, predictors)
        return None if first is None else _joined(first, at_least(inner.val, 0, 0, predictors))


def steps_of(options: Options) -> list[str]:
    """The names of the optimizers in the order in which they run."""
    strategy = options.compile.get("strategy")
    return strategy.split(_ARROW) if isinstance(strategy, str) else []


def _entries(options: Options) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in options.init.items() if key not in _NOT_NAMED)


def _given(value: Any) -> _Given | None:
    if not isinstance(value, Mapping) or not {"name"} <= value.keys() <= {"name", "kwargs"}:
        return None
    name, kwargs = value["name"], value.get("kwargs") or {}
    return _Given(name, kwargs) if isinstance(name, str) and isinstance(kwargs, Mapping) else None


def _known(given: _Given) -> OptimizerAsset | None:
    try:
        return given.asset
    except registry.UnknownName:
        return None


def _compile_arguments(options: Options) -> Mapping[str, Any]:
    given = options.compile.get(COMPILE_ARGUMENTS)
    return {k: v for k, v in given.items() if isinstance(v, Mapping)} if isinstance(given, Mapping) else {}


def _held_out(options: Options, counts: SplitCounts) -> SplitCounts:
    """Without validation rows, the first of the training rows become them."""
    ratio = options.compile.get("valset_ratio")
    if counts.val or not isinstance(ratio, int | float):
        return counts
    val = int(ratio * counts.train)
    return SplitCounts(counts.train - val, val, counts.test)


def _joined(one: Calls, other: Calls) -> Calls:
    return Calls(one.scores + other.scores, one.demos + other.demos, one.own + other.own, one.predictors)


def _setup_of(key: str, part: Part, setup: Setup) -> Setup:
    paths = {
        "spec.optimizer.kwargs": f"{setup.kwargs}.{key}.kwargs",
        "spec.optimizer.compileKwargs": f"{setup.compile_kwargs}.{COMPILE_ARGUMENTS}.{key}",
    }
    return replace(
        setup,
        name=f"Optimizer '{part.name}'",
        options=part.options,
        counts=None if setup.counts is None else _held_out(setup.options, setup.counts),
        words=lambda path: paths.get(path) or setup.words(path),
    )


def _shapes(setup: Setup) -> Iterator[str]:
    entries = dict(_entries(setup.options))
    if not entries:
        yield (
            f"{setup.name} needs the optimizers of its strategy in {setup.kwargs}, each under a name of your own, such "
            f'as {{"p": {{"name": "bootstrapfewshotwithrandomsearch"}}, "g": {_SHAPE}}}: those that it takes by '
            "default tune a model's weights, and a job leaves models as they are."
        )
    for key, value in entries.items():
        given = _given(value)
        if given is None:
            yield f"{setup.kwargs}.{key} must be an optimizer by its name and arguments, such as {_SHAPE}."
            continue
        try:
            asset = given.asset
        except registry.UnknownName as unknown:
            yield f"{setup.kwargs}.{key}: {unknown}"
        else:
            if asset is None:
                yield f"{setup.kwargs}.{key} must be one of dspy's optimizers, and is '{given.name}'."
    arguments = setup.options.compile.get(COMPILE_ARGUMENTS)
    if arguments is not None and _compile_arguments(setup.options).keys() - entries.keys():
        yield f"{setup.compile_kwargs}.{COMPILE_ARGUMENTS} names an optimizer that is not in {setup.kwargs}."


def _strategy(setup: Setup, parts: Mapping[str, Part]) -> Iterator[str]:
    missing = [key for key in steps_of(setup.options) if key not in parts]
    if missing:
        yield (
            f"{setup.compile_kwargs}.strategy must be names of {setup.kwargs} with '{_ARROW}' between them, such as "
            f"'{_ARROW.join(parts)}'; '{missing[0]}' is none of them."
        )


def _ratio(setup: Setup) -> Iterator[str]:
    ratio = setup.options.compile.get("valset_ratio")
    if isinstance(ratio, int | float) and not 0 <= ratio < 1:
        yield f"{setup.compile_kwargs}.valset_ratio must be at least 0 and less than 1, not {ratio:g}."
