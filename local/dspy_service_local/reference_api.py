"""The HTTP API's reference page, from the OpenAPI document that the API itself serves at /openapi.json."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dspy_service_api.accept import CoreAcceptance
from dspy_service_api.app import create_app
from dspy_service_api.settings import Settings
from dspy_service_core.kube.client import HttpKubeClient
from dspy_service_core.kube.config import ClusterConfig, TokenSource
from dspy_service_core.store import open_store

_HEAD = """# HTTP API

Generated from the OpenAPI document (`/openapi.json`, and `/docs` to try it); `make generate` writes it anew.
Scores are on DSPy's own scale, 0 to 100. Errors carry `detail`: a sentence, or for 422 a list of
`{field, message, type}`.
"""


def page() -> str:
    return _HEAD + "".join(_endpoint(*endpoint) for endpoint in _endpoints(_document()))


def _document() -> Mapping[str, Any]:
    """Nothing is connected: the document is all that is asked of this application."""
    settings = Settings()
    nowhere = HttpKubeClient(ClusterConfig("http://127.0.0.1:9", None, TokenSource()))
    return create_app(settings, nowhere, open_store("memory:///"), CoreAcceptance.from_settings(settings)).openapi()


def _endpoints(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _endpoint(method: str, path: str, operation: Mapping[str, Any]) -> str:
    text = f"\n## {method} {path}\n\n{operation.get('description') or operation.get('summary', '')}\n"
    text += _parameters(operation.get("parameters", []))
    text += _request(operation)
    return text + "".join(_answer(code, answer) for code, answer in operation["responses"].items())


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(f"| `{p['name']}` | {p['in']} | {p.get('description', '')} |\n" for p in parameters)
    return f"\n| parameter | in | meaning |\n|---|---|---|\n{rows}"


def _request(operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return "".join(f"\nRequest:\n\n{_block(example)}" for example in _examples(content))


def _answer(code: str, answer: Mapping[str, Any]) -> str:
    content = answer.get("content", {}).get("application/json", {})
    return f"\n**{code}** {answer.get('description', '')}\n" + "".join(f"\n{_block(e)}" for e in _examples(content))


def _examples(content: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    yield from (example["value"] for example in content.get("examples", {}).values())


def _block(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"
