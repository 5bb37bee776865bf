"""What model servers demand and refuse, by the words in a base URL: `/as-context-900+prose/v1`. Pure.

context-900      takes no more than 900 characters
never-KEY        refuses a request that holds that key
only-KEY-1       refuses any other value of that key than 1
wait-86400       is limited, and asks to come again in so many seconds
filter           refuses the content of items that say FORBIDDEN
prose            answers items that say MUMBLE in prose
surrogate        ends every text with half an emoji
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowing_model import text_of

ROOT = "as-"


@dataclass(frozen=True)
class Refusal:
    status: int
    message: str
    code: str
    headers: str = ""


def manners_of(root: str) -> Sequence[str]:
    return root.removeprefix(ROOT).split("+") if root.startswith(ROOT) else ()


def refusal(request: Mapping[str, Any], manners: Sequence[str]) -> Refusal | None:
    return next((found for manner in manners if (found := _refusal(request, manner))), None)


def spoilt(text: str, request: Mapping[str, Any], manners: Sequence[str]) -> str:
    if "prose" in manners and "MUMBLE" in text_of(request["messages"][-1]):
        return "Well, I would say that it is all right."
    return re.sub(r"(right|wrong)\b", "\\1 \ud83d", text) if "surrogate" in manners else text


def _refusal(request: Mapping[str, Any], manner: str) -> Refusal | None:
    name, _, rest = manner.partition("-")
    length = sum(len(text_of(message)) for message in request["messages"])
    match name:
        case "context" if length > int(rest):
            said = f"This model's maximum context length is {rest} characters; your messages have {length}."
            return Refusal(400, said, "context_length_exceeded")
        case "never" if rest in request:
            said = f"Unsupported parameter: '{rest}' is not supported with this model."
            cure = " Use 'max_completion_tokens' instead." if rest == "max_tokens" else ""
            return Refusal(400, said + cure, "unsupported_parameter")
        case "only":
            key, _, value = rest.rpartition("-")
            if key in request and request[key] != json.loads(value):
                said = f"Unsupported value: '{key}' does not support {request[key]} with this model. Only the default"
                return Refusal(400, f"{said} ({value}) value is supported.", "unsupported_value")
        case "wait":
            return Refusal(429, "Rate limit reached for requests", "rate_limit_exceeded", f"retry-after: {rest}\r\n")
        case "filter" if "FORBIDDEN" in text_of(request["messages"][-1]):
            return Refusal(400, "The response was filtered by our content management policy.", "content_filter")
    return None
