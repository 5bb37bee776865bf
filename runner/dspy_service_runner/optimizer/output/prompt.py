"""Writes `prompt.md`, in which people read what the optimizer made: every predictor's instructions, fields and demos,
and the messages that a model is sent."""

from typing import Any

import dspy

from dspy_service_runner.optimizer.output.messages import messages_of


def shown(program: dspy.Module) -> dict[str, Any]:
    """For those who ask for the best program while the search goes on."""
    return {"prompt": readable_prompts(program), "messages": messages_of(program)}


def readable_prompts(program: dspy.Module) -> str:
    return "\n".join(_section(name, predictor) for name, predictor in program.named_predictors())


def _section(name: str, predictor: Any) -> str:
    signature = predictor.signature
    parts = [
        f"# Predictor `{name}`\n",
        f"## Instructions\n\n{signature.instructions}\n",
        f"## Input fields\n\n{_fields(signature.input_fields)}\n",
        f"## Output fields\n\n{_fields(signature.output_fields)}\n",
    ]
    if predictor.demos:
        demos = "\n".join(_demo(number, demo, signature) for number, demo in enumerate(predictor.demos, 1))
        parts.append(f"## Demos\n\n{demos}")
    parts.append(f"## As sent to the model\n\n{_messages(predictor)}")
    return "\n".join(parts)


def _fields(fields: Any) -> str:
    return "\n".join(f"- `{name}` ({_type(field)}){_description(name, field)}" for name, field in fields.items())


def _type(field: Any) -> str:
    return getattr(field.annotation, "__name__", None) or str(field.annotation)


def _description(name: str, field: Any) -> str:
    text = (field.json_schema_extra or {}).get("desc") or ""
    return "" if text in ("", f"${{{name}}}") else f": {text}"


def _demo(number: int, demo: Any, signature: Any) -> str:
    kind = "found by the optimizer" if demo.get("augmented") else "from the dataset"
    lines = [f"- {name}: {_one_line(demo[name])}" for name in signature.fields if name in demo]
    return f"### Demo {number} ({kind})\n\n" + "\n".join(lines) + "\n"


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())


def _messages(predictor: Any) -> str:
    inputs = {name: f"{{{name}}}" for name in predictor.signature.input_fields}
    try:
        adapter = dspy.settings.adapter or dspy.ChatAdapter()
        messages = adapter.format(predictor.signature, predictor.demos, inputs)
    except Exception as error:  # no placeholder fits an image or a list; the parts above are enough
        return f"(not shown: {error})\n"
    return "\n".join(f"**{m['role']}**\n\n{_fenced(m['content'])}\n" for m in messages)


def _fenced(content: Any) -> str:
    text = content if isinstance(content, str) else str(content)
    fence = "~~~~" if "~~~~" not in text else "~~~~~~~~"
    return f"{fence}\n{text}\n{fence}"
