"""The HTTP API's reference page, from the OpenAPI document that the API itself serves at /openapi.json."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from dspy_service_api.answers import error_codes
from dspy_service_api.http.app import create_app
from dspy_service_api.http.routes import examples
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import ClusterConfig, TokenSource
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.storage.store import open_store

_HEAD = """# HTTP API

Generated from the OpenAPI document (`/openapi.json`, and `/docs` to try it); `make generate` writes it anew.
Scores are on DSPy's own scale, 0 to 100. What an error's `code` means is said once for all, [below](#errors).
"""
_ERRORS = """
## Errors

`detail` is a sentence for people. `code` is for programs: it keeps its meaning, whatever the sentence says of the case;
new codes may come. Of a malformed request `detail` lists everything that is wrong, each with a `type` to rely on. An
answer with 503 says in `Retry-After` when to try again.

"""
_TABLE = """
| `code` | status | meaning |
|---|---|---|
"""


def page() -> str:
    return _HEAD + "".join(_endpoint(*endpoint) for endpoint in _endpoints(document())) + _errors()


def _errors() -> str:
    shown = (examples.PROBLEMS[name].body for name in ("unknown job", "empty dataset"))
    rows = "".join(f"| `{error.code}` | {error.status} | {error.meaning} |\n" for error in error_codes.ALL)
    return _ERRORS + "\n".join(map(_block, shown)) + _TABLE + rows


@cache
def document() -> Mapping[str, Any]:
    """Nothing is connected: the document is all that is asked of this application."""
    settings = Settings()
    nowhere = KubeClient(HttpTransport(ClusterConfig("http://127.0.0.1:9", None, TokenSource())))
    return create_app(settings, nowhere, open_store("memory:///"), CoreAcceptance.from_settings(settings)).openapi()


def _endpoints(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _endpoint(method: str, path: str, operation: Mapping[str, Any]) -> str:
    text = f"\n## {method} {path}\n\n{operation.get('description') or operation.get('summary', '')}\n"
    text += _parameters(operation.get("parameters", []))
    text += _request(operation)
    answers = {status: answer for status, answer in operation["responses"].items() if int(status) < 400}
    text += "".join(_answer(status, answer) for status, answer in answers.items())
    return text + _codes({status: operation["responses"][status] for status in operation["responses"].keys() - answers})


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(f"| `{p['name']}` | {p['in']} | {p.get('description', '')} |\n" for p in parameters)
    return f"\n| parameter | in | meaning |\n|---|---|---|\n{rows}"


def _request(operation: Mapping[str, Any]) -> str:
    body = _json_of(operation.get("requestBody", {}))
    return "".join(f"\nRequest:\n\n{_block(example)}" for example in _examples(body))


def _codes(errors: Mapping[str, Mapping[str, Any]]) -> str:
    """As the examples have them: there is one of every code."""
    named = (
        f"{status} " + ", ".join(dict.fromkeys(f"`{e['code']}`" for e in _examples(_json_of(errors[status]))))
        for status in sorted(errors)
    )
    return f"\n**Errors** {'; '.join(named)}\n"


def _json_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = answer.get("content", {}).get("application/json", {})
    return content


def _stream_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = answer.get("content", {}).get("text/event-stream", {})
    return content


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    shown = "".join(f"\n{_block(example)}" for example in _examples(_json_of(answer)))
    shown += "".join(f"\n```\n{example.strip()}\n```\n" for example in _examples(_stream_of(answer)))
    return f"\n**{status}** {answer.get('description', '')}\n{shown}"


def _examples(content: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    yield from (example["value"] for example in content.get("examples", {}).values())


def _block(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"
