from typing import Any

import dspy
import pytest

from dspy_service import UnusableObject
from dspy_service.payload.models import model_config
from dspy_service_core.contract.request import NamedModelSettings

FORMS: list[tuple[Any, dict[str, Any]]] = [
    ("openai/m", {"name": "openai/m"}),
    ({"name": "openai/m", "temperature": 0}, {"name": "openai/m", "temperature": 0}),
    (dspy.LM("openai/m"), {"name": "openai/m", "temperature": None}),
    (
        dspy.LM("openai/m", temperature=0.3, max_tokens=50, top_p=0.9, api_key="k", seed=3),
        {
            "name": "openai/m",
            "temperature": 0.3,
            "max_tokens": 50,
            "top_p": 0.9,
            "extra": {"api_key": "k", "seed": 3},
        },
    ),
    (
        dspy.LM("openai/m", temperature=0.0, api_base="http://here/v1"),
        {"name": "openai/m", "temperature": 0.0, "base_url": "http://here/v1"},
    ),
    (
        dspy.LM("openai/m", temperature=0.0, base_url="http://here/v1", extra_headers={"x": "y"}),
        {"name": "openai/m", "temperature": 0.0, "base_url": "http://here/v1", "extra": {"extra_headers": {"x": "y"}}},
    ),
    (
        dspy.LM("openai/m", model_type="responses", temperature=0.1, num_retries=8, cache=False),
        {
            "name": "openai/m",
            "model_type": "responses",
            "temperature": 0.1,
            "extra": {"num_retries": 8, "cache": False},
        },
    ),
    (
        dspy.LM("openai/m", temperature=0.1, engine="litellm"),
        {"name": "openai/m", "temperature": 0.1, "extra": {"engine": "litellm"}},
    ),
    (
        dspy.Embedder("openai/e", api_key="k", api_base="http://here/v1"),
        {"name": "openai/e", "base_url": "http://here/v1", "model_type": "embedding", "extra": {"api_key": "k"}},
    ),
]


@pytest.mark.parametrize(("given", "config"), FORMS, ids=[str(n) for n, _ in enumerate(FORMS)])
def test_a_model_as_settings(given: Any, config: dict[str, Any]) -> None:
    assert model_config(given) == config
    NamedModelSettings.model_validate(config)


def test_a_reasoning_model_keeps_what_dspy_demands() -> None:
    config = model_config(dspy.LM("openai/gpt-5", temperature=1.0, max_tokens=16000))
    assert config["name"] == "openai/gpt-5"
    NamedModelSettings.model_validate(config)


class Mine(dspy.LM):
    pass


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Mine("openai/m"), "judge is a Mine"),
        (3, "judge is a int"),
        (dspy.LM("openai/m", callbacks=[object()]), "judge has callbacks"),
        (dspy.Embedder(lambda texts: [[0.0]]), "judge is a Embedder"),
        (dspy.LM("openai/m", launch_kwargs={"a": 1}), "judge has launch_kwargs"),
    ],
)
def test_what_settings_cannot_say_is_named(given: Any, told: str) -> None:
    with pytest.raises(UnusableObject, match=told):
        model_config(given, "judge")
