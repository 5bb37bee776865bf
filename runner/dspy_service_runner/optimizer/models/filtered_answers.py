"""Finds answers that a provider's content filter has emptied, and makes them the refusals that they are.

Some providers refuse a request with an error, others with an answer of status 200 that holds no text. dspy would hand
the empty text to the program's adapter, and the program would be blamed for an answer that does not parse.
"""

from collections.abc import Iterator

from dspy.clients.call_result import CallResult
from dspy.clients.legacy_outputs import value
from dspy.lm15 import RefusalPart, Response
from dspy.utils.exceptions import LMInvalidRequestError

_FILTERED = "content_filter"


def refuse_filtered(model: str, result: CallResult | None) -> None:
    """Raises an error of this request if one of its answers is empty because of a filter, or is a refusal alone."""
    if result is None:
        return
    for reason, output in zip(_reasons(result), result.outputs, strict=False):
        if reason and _is_empty(output):
            raise LMInvalidRequestError(
                f"The model's answer is empty, because {reason}.", model=model, provider_code=_FILTERED, status=200
            )


def _reasons(result: CallResult) -> Iterator[str]:
    """For each answer why it may be empty, or an empty text."""
    if result.responses:
        yield from map(_reason_of_native, result.responses)
    else:  # LiteLLM's answers, in OpenAI's form
        for choice in value(result.raw, "choices", None) or ():
            message = value(choice, "message", {})
            unknown_to_it = value(message, "provider_specific_fields", None) or {}
            refusal = value(message, "refusal", None) or unknown_to_it.get("refusal")
            yield _reason(value(choice, "finish_reason", None), refusal)


def _reason_of_native(response: Response) -> str:
    refusals = [part.text for part in response.message.parts if isinstance(part, RefusalPart)]
    return _reason(response.finish_reason, " ".join(refusals))


def _reason(finish_reason: str | None, refusal: str | None) -> str:
    if finish_reason == _FILTERED:
        return f"the provider's content filter removed it (finish_reason {_FILTERED})"
    return f"the model refused: {refusal}" if refusal else ""


def _is_empty(output: object) -> bool:
    """Whether nothing came that a program could use: neither text nor the call of a tool."""
    fields = output if isinstance(output, dict) else {"text": output}
    return not (str(fields.get("text") or "").strip() or fields.get("tool_calls"))
