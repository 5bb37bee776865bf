"""DSPy's adapters by the words for them. Apart from the models of the resource, which cost the reporter pydantic."""

from typing import Literal

Adapter = Literal["chat", "json", "xml"]
DEFAULT_ADAPTER: Adapter = "chat"
"""DSPy's own."""
