"""Builds the payload of `POST /run` from Python objects, so that nobody has to write its JSON by hand.

build_payload(program, metric=metric, trainset=examples, optimizer=dspy.GEPA(...), lm=lm)

build_payload(signature=Route, metric=metric, rows=rows, inputs=["text"], outputs=["team"],
              optimizer="miprov2", model="openai/gpt-4o-mini")
"""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dspy_service.errors import UnusableObject
from dspy_service.payload.datasets import Dataset, read_sets
from dspy_service.payload.json_values import json_rows, json_value
from dspy_service.payload.models import Model, model_config
from dspy_service.payload.optimizers import Optimizer, read_optimizer
from dspy_service.sources.dspy_modules import is_module, settings_lm
from dspy_service.sources.source import Code, text_of

Columns = Mapping[str, str | None] | Sequence[str]
"""Field to column, or the names that fields and columns have in common. An output without gold: its field to None."""
ROLES = ("reflection", "prompt", "task")
Packages = Callable[[], Collection[str] | None]
"""Asks what is installed where jobs run; None where nobody says."""


def payload_of(program: Any, request: Mapping[str, Any], packages: Packages) -> Mapping[str, Any]:
    """A payload that was given as it is, or one made of a program and all else that `build_payload` takes."""
    if not isinstance(program, Mapping):
        return build_payload(program, packages=packages, **request)
    if request:
        raise TypeError(f"A payload says all of it by itself, so {', '.join(request)} cannot stand beside it.")
    return program


def build_payload(
    program: Any = None,
    *,
    signature: Any = None,
    metric: Any = None,
    trainset: Any = None,
    valset: Any = None,
    testset: Any = None,
    rows: Any = None,
    inputs: Columns | None = None,
    outputs: Columns | None = None,
    optimizer: Any = "miprov2",
    optimizer_kwargs: Mapping[str, Any] | None = None,
    compile_kwargs: Mapping[str, Any] | None = None,
    lm: Model = None,
    model: Model = None,
    reflection_model: Model = None,
    prompt_model: Model = None,
    task_model: Model = None,
    models: Mapping[str, Model] | None = None,
    module: str | None = None,
    module_kwargs: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | Sequence[str | Path] = (),
    secrets: Mapping[str, str] | None = None,
    adapter: str | None = None,
    initial: Mapping[str, Any] | None = None,
    split_column: str | None = None,
    split: Sequence[float] | None = None,
    shuffle: bool | None = None,
    seed: int | None = None,
    budget: Mapping[str, float] | None = None,
    run_options: Mapping[str, Any] | None = None,
    packages: Packages = lambda: None,
) -> dict[str, Any]:
    """`program`: a `dspy.Module` class or instance, a signature (a class, or `"question -> answer"`), source text or a
    `Path` to it. `signature` and `metric`: a class and a function, their source text, or a `Path` to it.

    `trainset`, `valset`, `testset` (or `rows`, to be split by the service): `dspy.Example`s, mappings, dataclasses,
    models or data frames, of anything that has a form in JSON. `optimizer`: its name, its class, or an instance, whose
    arguments are read back. `lm` (or `model`) and the others: names, settings or `dspy.LM`s; where there is none, the
    one of `dspy.configure`. `models`: further ones, for judges: code finds each as `models[name]`.

    `files`: further ones of the program. `packages`: asks what the runner has, as `Client.packages` does.
    """
    chosen = read_optimizer(optimizer)
    metric = _one_metric(metric, chosen)
    dataset = _dataset(rows, trainset if trainset is not None else chosen.trainset, valset, testset)
    roles = {"reflection": reflection_model, "prompt": prompt_model, "task": task_model}
    roles = {role: chosen.models.get(role) if given is None else given for role, given in roles.items()}
    named = {**{n: m for n, m in chosen.models.items() if n not in ROLES}, **(models or {})}
    program = _written_signature(program)
    code = Code(program, signature, metric, module_kwargs or {}, named, packages, secrets or {})
    state = code.program.state if code.program else None
    payload: dict[str, Any] = {
        **_module(program, module, module_kwargs),
        **code.fields,
        "optimizer_name": chosen.name,
        "optimizer_kwargs": {**chosen.kwargs, **(optimizer_kwargs or {})},
        "compile_kwargs": dict(compile_kwargs or {}),
        "dataset": dataset.rows,
        **_columns(code, dataset, inputs, outputs),
        "model_config": model_config(_default_model(lm if lm is not None else model, program), "lm"),
    }
    configs = {f"{role}_model_config": model_config(given, role) for role, given in roles.items() if given is not None}
    if code.gathering.models:
        configs["model_configs"] = {n: model_config(given, n) for n, given in code.gathering.models.items()}
    further = {
        "program_files": {**code.fields.get("program_files", {}), **_files(files)} or None,
        "secrets": dict(secrets) if secrets else None,
        "adapter": adapter,
        "initial": initial or ({"program_state": state} if state else None),
        "split_column": split_column or dataset.split_column or None,
        "split_fractions": dict(zip(("train", "val", "test"), split, strict=True)) if split is not None else None,
        "shuffle": shuffle,
        "seed": seed,
        "budget": budget,
        "run_options": run_options,
    }
    given = payload | configs | {name: value for name, value in further.items() if value is not None}
    return {name: value if name == "dataset" else json_value(value, name) for name, value in given.items()}


def columns(given: Columns) -> dict[str, str | None]:
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _one_metric(metric: Any, optimizer: Optimizer) -> Any:
    if metric is None and optimizer.metric is None:
        raise UnusableObject("metric", "is lacking: give one, or an optimizer that was made with one")
    if metric is not None and optimizer.metric not in (None, metric):
        raise UnusableObject("metric", "is another than the optimizer was made with: give one of them")
    return optimizer.metric if metric is None else metric


def _dataset(rows: Any, trainset: Any, valset: Any, testset: Any) -> Dataset:
    if rows is None and trainset is not None:
        return read_sets(trainset, valset, testset)
    if not (trainset is valset is testset is None):
        raise UnusableObject("rows", "are given beside trainset, valset or testset: give one of both")
    return Dataset(json_rows(rows))


def _written_signature(program: Any) -> Any:
    """`"question -> answer"` is no program's source."""
    if isinstance(program, str) and "->" in program and "\n" not in program.strip():
        return importlib.import_module("dspy").Signature(program)  # who writes DSPy's own short form has it
    return program


def _module(program: Any, module: str | None, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """For a program given as text, or a signature; one given as an object says its own."""
    text = isinstance(program, str | Path)
    named = {"module_name": module} if module else {} if text else {"module_name": "predict"}
    return {**named, "module_kwargs": dict(kwargs or {})}


def _columns(code: Code, dataset: Dataset, inputs: Columns | None, outputs: Columns | None) -> dict[str, Any]:
    """A signature's fields have columns of their names; a program's inputs are found by the service, unless said."""
    signature = code.program.signature if code.program else None
    if inputs is None and (signature is None or "program_code" in code.fields):
        return {}
    if inputs is None:
        inputs = list(signature.input_fields if signature is not None else ())
    if outputs is None:
        fields = list(signature.output_fields) if signature is not None else []
        outputs = {field: field if field in dataset.columns else None for field in fields}
    return {"column_mapping": {"inputs": columns(inputs), "outputs": columns(outputs)}}


def _default_model(given: Model, program: Any) -> Model:
    if given is not None:
        return given
    own = _models_of(program) if is_module(program) and not isinstance(program, type) else []
    if found := (own[0] if own else settings_lm()):
        return found
    raise UnusableObject("lm", "is lacking: give one, or call dspy.configure(lm=...)")


def _models_of(program: Any) -> list[Any]:
    found = {id(predictor.lm): predictor.lm for _, predictor in program.named_predictors() if predictor.lm}
    if len(found) > 1:
        raise UnusableObject("program", "has predictors with different models: let its code choose among models={...}")
    return list(found.values())


def _files(given: Mapping[str, str] | Sequence[str | Path]) -> dict[str, str]:
    if isinstance(given, Mapping):
        return dict(given)
    return {path.name if path.is_absolute() else path.as_posix(): text_of(path) for path in map(Path, given)}
