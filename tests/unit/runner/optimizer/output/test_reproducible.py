"""The same payload twice, with a model that answers alike: the same state, byte for byte, and what made it."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_runner.optimizer.output.provenance import image_digest, payload_digest, seeds
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

OPTIMIZERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dspy.LabeledFewShot": ({}, {}),
    "dspy.BootstrapFewShot": ({}, {}),
    "dspy.BootstrapRS": ({"num_candidate_programs": 4}, {}),
    "miprov2": ({"auto": "light"}, {}),
    "gepa": ({"max_metric_calls": 80}, {}),
    "simba": ({"bsize": 8, "num_candidates": 3, "max_steps": 3}, {}),
    "dspy.COPRO": ({"breadth": 3, "depth": 2}, {}),
    "dspy.InferRules": ({"num_candidates": 2}, {}),
    "dspy.BootstrapFewShotWithOptuna": ({"num_candidate_programs": 3}, {"max_demos": 2}),
}


@pytest.fixture(scope="module")
def another() -> Iterator[OptimizerForge]:
    """Another process: with its own seed of hashes, and its own state of `random`."""
    with OptimizerForge() as made:
        yield made


def state(forge: OptimizerForge, root: Path, name: str, threads: int) -> bytes:
    kwargs, compile_kwargs = OPTIMIZERS[name]
    optimizer = {"name": name, "kwargs": kwargs, "compileKwargs": compile_kwargs}
    with ScriptedServer() as server:
        folders = make_folders(root, make_spec(server.url, optimizer=optimizer))
        result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_MOST_THREADS=str(threads))
    assert result["outcome"] == "Succeeded", result["message"]
    return (folders.out / "artifact" / "program.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "threads"), [*((name, 8) for name in OPTIMIZERS), ("dspy.BootstrapRS", 1), ("gepa", 1), ("simba", 1)]
)
def test_the_same_payload_gives_the_same_state(
    name: str, threads: int, forge: OptimizerForge, another: OptimizerForge, tmp_path: Path
) -> None:
    first = state(forge, tmp_path / "first", name, threads)
    assert state(another, tmp_path / "second", name, threads) == first


def test_the_metadata_says_what_made_it(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    image = f"registry.example.org/runner:1@sha256:{'a' * 64}"
    spec = make_spec(server.url, optimizer={"name": "simba", "kwargs": {"bsize": 8, "max_steps": 1}})
    records = []
    for name, changes in {"first": {}, "again": {"run": {"retries": 3}}, "other": {"module": {"name": "cot"}}}.items():
        folders = make_folders(tmp_path / name, spec | changes)
        result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_IMAGE=image)
        records.append(json.loads((folders.out / "artifact" / "metadata.json").read_text()))
        assert result["details"]["packages"] == records[-1]["packages"]
    first, again, other = records
    assert first["packages"].keys() >= {"python", "dspy", "gepa", "litellm", "pydantic"}
    assert first["packages"]["dspy"] == metadata.version("dspy")
    assert first["image_digest"] == f"sha256:{'a' * 64}"
    assert first["seeds"] == {"split": 7, "compile": 0}
    assert first["payload_digest"] == again["payload_digest"] != other["payload_digest"]


def test_the_digest_of_a_payload_is_of_its_rows_as_well(tmp_path: Path) -> None:
    spec = make_spec()
    rows = [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]
    digests = [
        payload_digest(make_folders(tmp_path / name, spec, given).inputs)
        for name, given in {"one": rows, "two": rows, "three": rows[::-1]}.items()
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("image", "digest"),
    [("", None), ("runner:latest", None), ("r/runner@sha256:ab", "sha256:ab"), ("r:1/runner:2@sha256:ab", "sha256:ab")],
)
def test_an_image_has_a_digest_where_its_name_does(image: str, digest: str | None) -> None:
    assert image_digest(image) == digest


@pytest.mark.parametrize(
    ("optimizer", "kwargs", "compile_kwargs", "told"),
    [
        (dspy.MIPROv2, {}, {}, {"split": 3, "optimizer": 9}),
        (dspy.MIPROv2, {"seed": 1}, {"seed": 2}, {"split": 3, "optimizer": 1, "compile": 2}),
        (dspy.GEPA, {}, {}, {"split": 3, "optimizer": 0}),
        (dspy.BootstrapFewShot, {}, {}, {"split": 3}),
    ],
)
def test_seeds_are_those_given_or_the_defaults(
    optimizer: type, kwargs: dict[str, Any], compile_kwargs: dict[str, Any], told: dict[str, Any]
) -> None:
    assert seeds(3, optimizer, kwargs, compile_kwargs) == told
