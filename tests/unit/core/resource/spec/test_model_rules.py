import dspy
import pytest
from dspy.clients.lm import _is_openai_reasoning_model
from dspy.utils.exceptions import LMConfigurationError

from dspy_service_core.resource.spec import model_rules

NAMES = [
    *("openai/gpt-4o-mini", "openai/o1", "openai/o3-mini", "o4-mini-2025-04-16", "openai/gpt-5", "openai/gpt-5-mini"),
    *("openai/gpt-5-chat", "openai/gpt-5.1", "azure/GPT-5-nano", "openai/gpt-50", "o2", "anthropic/claude", "o1-pro"),
    *("openai/gpt-5.6-luna", "openrouter/openai/o3", "openai/o1-preview", "ollama/olmo", ""),
]


@pytest.mark.parametrize("name", NAMES)
def test_reasoning_models_are_dspy_s(name: str) -> None:
    assert model_rules.is_reasoning(name) == _is_openai_reasoning_model(name)


@pytest.mark.parametrize("name", ["openai/o3", "openai/gpt-5-mini", "openai/gpt-4o-mini"])
@pytest.mark.parametrize("temperature", [None, 0.5, 1.0])
@pytest.mark.parametrize("max_tokens", [None, 100, 16000])
def test_objections_are_dspy_s(name: str, temperature: float | None, max_tokens: int | None) -> None:
    try:
        dspy.LM(name, temperature=temperature, max_tokens=max_tokens)
        refused = False
    except LMConfigurationError:
        refused = True

    assert bool(model_rules.objection(name, temperature, max_tokens)) is refused


def test_temperature_of_a_run() -> None:
    assert model_rules.temperature("openai/gpt-4o-mini", None) == 0.1
    assert model_rules.temperature("openai/gpt-4o-mini", 0.0) == 0.0
    assert model_rules.temperature("openai/o3", None) == 1.0
