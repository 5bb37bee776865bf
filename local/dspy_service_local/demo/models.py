"""Which model the demo runs on: the user's, where one is named, else the humble one of ours. Pure."""

from collections.abc import Mapping
from typing import Any

_KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "xai": "XAI_API_KEY",
}
"""Of the providers that cannot be called without a key."""


class KeyMissing(Exception):
    pass


def user_model(name: str, base_url: str | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """The model config; the key itself stays in the environment, where the service finds it."""
    variable = _KEY_VARIABLES.get(name.partition("/")[0])
    if variable and not base_url and not environment.get(variable):
        raise KeyMissing(f"{name} needs a key: set {variable}. Without --model the demo brings a model of its own.")
    return {"name": name, "base_url": base_url} if base_url else {"name": name}


def unused_key(environment: Mapping[str, str]) -> str | None:
    """A key that is there though no model was named: worth a hint, not worth spending it unasked."""
    return next((variable for variable in _KEY_VARIABLES.values() if environment.get(variable)), None)
