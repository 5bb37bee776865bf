"""Builds the payload of `POST /run` from Python objects, so that nobody has to write its JSON by hand.

build_payload(signature=Route, metric=metric, rows=rows, inputs=["text"], outputs=["team"],
              optimizer="miprov2", model="openai/gpt-4o-mini")
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dspy_service.payload.json_values import json_rows, json_value
from dspy_service.payload.source import sources_of

Columns = Mapping[str, str | None] | Sequence[str]
"""Field to column, or the names that fields and columns have in common. An output without gold: its field to None."""
Model = str | Mapping[str, Any]
"""A name as DSPy writes it, or all of a model config."""


def build_payload(
    *,
    signature: Any,
    metric: Any,
    rows: Any,
    inputs: Columns,
    outputs: Columns = (),
    model: Model,
    module: str = "predict",
    module_kwargs: Mapping[str, Any] | None = None,
    optimizer: str = "miprov2",
    optimizer_kwargs: Mapping[str, Any] | None = None,
    compile_kwargs: Mapping[str, Any] | None = None,
    reflection_model: Model | None = None,
    prompt_model: Model | None = None,
    task_model: Model | None = None,
    models: Mapping[str, Model] | None = None,
    split: Sequence[float] | None = None,
    shuffle: bool | None = None,
    seed: int | None = None,
    run_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`signature` and `metric`: a class and a function, their source text, or a `Path` to it. None: the default.

    `models`: further ones, for judges: the metric finds each as `models[name]`.
    `rows`: mappings, dataclasses, models or a data frame, of anything that has a form in JSON.
    """
    signature_code, metric_code = sources_of(signature, metric)
    payload: dict[str, Any] = {
        "module_name": module,
        "module_kwargs": dict(module_kwargs or {}),
        "signature_code": signature_code,
        "metric_code": metric_code,
        "optimizer_name": optimizer,
        "optimizer_kwargs": dict(optimizer_kwargs or {}),
        "compile_kwargs": dict(compile_kwargs or {}),
        "dataset": json_rows(rows),
        "column_mapping": {"inputs": columns(inputs), "outputs": columns(outputs)},
        "model_config": model_config(model),
    }
    roles = {"reflection": reflection_model, "prompt": prompt_model, "task": task_model}
    configs = {f"{role}_model_config": model_config(given) for role, given in roles.items() if given is not None}
    fractions = dict(zip(("train", "val", "test"), split, strict=True)) if split is not None else None
    if models:
        configs["model_configs"] = {name: model_config(given) for name, given in models.items()}
    chosen = {"split_fractions": fractions, "shuffle": shuffle, "seed": seed, "run_options": run_options}
    given = payload | configs | {name: value for name, value in chosen.items() if value is not None}
    return {name: value if name == "dataset" else json_value(value, name) for name, value in given.items()}


def columns(given: Columns) -> dict[str, str | None]:
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def model_config(given: Model) -> dict[str, Any]:
    return {"name": given} if isinstance(given, str) else dict(given)
