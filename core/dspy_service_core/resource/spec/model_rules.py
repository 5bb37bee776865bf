"""What DSPy demands of a model's settings by the model's name, such as the temperature of OpenAI's reasoning models."""

import re

DEFAULT_TEMPERATURE = 0.1
"""The contract's, where a request gives none."""
REASONING_TEMPERATURE = 1.0
REASONING_MIN_TOKENS = 16000

# dspy.clients.lm._is_openai_reasoning_model, 3.4.1; a test holds the two together
_REASONING = re.compile(r"(?:o[1345](?:-(?:mini|nano|pro))?(?:-\d{4}-\d{2}-\d{2})?|gpt-5(?:\.\d+)*(?!-chat)(?:-.*)?)")


def is_reasoning(model: str) -> bool:
    return _REASONING.fullmatch(model.rpartition("/")[2].lower()) is not None


def temperature(model: str, given: float | None) -> float:
    """The temperature that the job uses."""
    if given is not None:
        return given
    return REASONING_TEMPERATURE if is_reasoning(model) else DEFAULT_TEMPERATURE


def objection(model: str, given: float | None, max_tokens: int | None) -> str:
    """Why DSPy refuses these settings; empty where it does not."""
    if not is_reasoning(model):
        return ""
    if given not in (None, REASONING_TEMPERATURE):
        return f"model '{model}' takes no temperature but {REASONING_TEMPERATURE}; leave temperature out"
    if max_tokens is not None and max_tokens < REASONING_MIN_TOKENS:
        return f"model '{model}' needs max_tokens of at least {REASONING_MIN_TOKENS}, or none at all"
    return ""
