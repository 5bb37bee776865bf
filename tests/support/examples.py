"""What lies in `examples/`, with nothing changed but the name and the model that it asks."""

from pathlib import Path
from typing import Any

import orjson
import yaml

from under_test import Model

EXAMPLES = Path(__file__).parents[2] / "examples"


def applied_example(model: Model, name: str, file: str = "job.yaml") -> dict[str, Any]:
    """The job of a file that may hold ConfigMaps before it."""
    document: dict[str, Any] = documents(file)[-1]
    document["metadata"]["name"] = name
    document["spec"]["models"] = {"default": {"name": "openai/scripted", "baseUrl": model.url}}
    return document


def documents(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / file).read_text()))


def posted_example(model: Model) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((EXAMPLES / "payload.json").read_bytes())
    return document | {"model_config": {"name": "openai/scripted", "base_url": model.url}}
