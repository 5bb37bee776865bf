"""A payload as a form, and a form as a payload again. Pure.

What has an input of its own is taken out of the payload; the rest is shown as the JSON that it is, so that nothing of
an earlier job is lost on the way. Rows stay where they are: a form names the job or brings a file.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dspy_service_api.page.render import as_json
from dspy_service_api.page.views.figures import mapping
from dspy_service_api.page.views.summaries import CAPS

CODES = ("program_code", "signature_code", "metric_code")
MODELS = ("model_config", "reflection_model_config")
MODEL_FIELDS = ("name", "base_url", "temperature", "max_tokens")
SPLITS = ("train", "val", "test")
ARGUMENTS = "argument."
COMPILE_ARGUMENTS = "compile_argument."
BUDGET = "budget."
_KWARGS = ("optimizer_kwargs", "compile_kwargs")
_OWN = {*CODES, *MODELS, *_KWARGS, "module_name", "optimizer_name", "dataset", "secrets", "budget"}
_DEFAULT_SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}
Form = Mapping[str, str]


class Unreadable(Exception):
    """What was typed is none of what belongs there; `field` is the form's name for it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def form_of(payload: Mapping[str, Any], rows: int) -> dict[str, str]:
    form = {name: str(payload.get(name) or "") for name in (*CODES, "module_name", "optimizer_name")}
    for model in MODELS:
        given = mapping(payload.get(model))
        form |= {f"{model}.{part}": _shown(given.get(part)) for part in MODEL_FIELDS}
        form[f"{model}.rest"] = _rest(given, {*MODEL_FIELDS})
    for prefix, name in ((ARGUMENTS, "optimizer_kwargs"), (COMPILE_ARGUMENTS, "compile_kwargs")):
        form |= {f"{prefix}{each}": _shown(value) for each, value in mapping(payload.get(name)).items()}
    form |= {f"secret.{name}": "" for name in mapping(payload.get("secrets"))}
    form |= {f"{BUDGET}{cap}": _shown(mapping(payload.get("budget")).get(cap)) for cap in CAPS}
    options = mapping(payload.get("run_options"))
    form |= {"name": "", "note": str(options.get("note") or "")}
    rest = {name: value for name, value in payload.items() if name not in _OWN}
    if options:
        rest["run_options"] = {name: value for name, value in options.items() if name not in ("name", "note")}
    if not payload.get("split_column"):
        form |= _split(mapping(rest.pop("split_fractions", None)) or _DEFAULT_SPLIT, rows)
    form["rest"] = as_json({name: value for name, value in rest.items() if value not in ({}, None)})
    return form


def payload_of(form: Form, rows: Sequence[Any]) -> dict[str, Any]:
    """Raises `Unreadable`."""
    payload = _object(form, "rest")
    payload |= {name: form[name].replace("\r\n", "\n") for name in (*CODES, "module_name") if form.get(name)}
    payload["optimizer_name"] = form.get("optimizer_name", "")
    payload["optimizer_kwargs"] = _arguments(form, ARGUMENTS)
    payload["compile_kwargs"] = _arguments(form, COMPILE_ARGUMENTS)
    payload |= {model: given for model in MODELS if (given := _model(form, model))}
    if secrets := {n.removeprefix("secret."): form[n] for n in form if n.startswith("secret.")}:
        payload["secrets"] = secrets
    if named := {name: form[name] for name in ("name", "note") if form.get(name)}:
        payload["run_options"] = {**mapping(payload.get("run_options")), **named}
    if caps := _arguments(form, BUDGET):
        payload["budget"] = caps
    payload["dataset"] = list(rows)
    if not payload.get("split_column") and any(form.get(f"split.{each}") for each in SPLITS):
        payload["split_fractions"] = fractions([_count(form, f"split.{each}") for each in SPLITS])
    return payload


def fractions(counts: Sequence[int]) -> dict[str, float]:
    """Those that split so many rows into just these numbers: the parts are rounded down, the last gets the rest."""
    rows = sum(counts) or 1
    train, val = (_fraction(count, rows) for count in counts[:2])
    return {"train": train, "val": val, "test": max(1.0 - train - val, 0.0)}


def read_rows(name: str, content: bytes) -> list[Any]:
    """JSON, JSON Lines or CSV, by what it is. Raises `Unreadable`."""
    try:
        said = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Unreadable("dataset", f"{name} is no UTF-8 text.") from None
    if said.startswith("["):
        return _json_rows(said)
    if said.startswith("{"):
        return _json_lines(said)
    return list(csv.DictReader(io.StringIO(said)))


def _json_rows(said: str) -> list[Any]:
    try:
        found = orjson.loads(said)
    except orjson.JSONDecodeError as exc:
        raise Unreadable("dataset", f"The rows are no JSON: {exc}.") from None
    return found if isinstance(found, list) else [found]


def _json_lines(said: str) -> list[Any]:
    rows = []
    for number, line in enumerate(said.split("\n"), 1):
        try:
            rows += [orjson.loads(line)] if line.strip() else []
        except orjson.JSONDecodeError as exc:
            raise Unreadable("dataset", f"Line {number} of the rows is no JSON: {exc}.") from None
    return rows


def _split(given: Mapping[str, Any], rows: int) -> dict[str, str]:
    train, val = (int(rows * float(given.get(each, 0.0))) for each in ("train", "val"))
    return {"split.train": str(train), "split.val": str(val), "split.test": str(max(rows - train - val, 0))}


def _fraction(count: int, rows: int) -> float:
    plain = count / rows
    return plain if int(rows * plain) == count else (count + 0.25) / rows


def _count(form: Form, name: str) -> int:
    given = form.get(name, "").strip() or "0"
    if not given.isascii() or not given.isdigit():
        raise Unreadable(name, "is a number of rows")
    return int(given)


def _model(form: Form, model: str) -> dict[str, Any]:
    found = _object(form, f"{model}.rest")
    for part in MODEL_FIELDS:
        given = form.get(f"{model}.{part}", "").strip()
        if given:
            found[part] = given if part in ("name", "base_url") else value_of(given)
    if key := form.get(f"{model}.key", "").strip():
        found["extra"] = {**mapping(found.get("extra")), "api_key": key}
    return found


def _arguments(form: Form, prefix: str) -> dict[str, Any]:
    given = {name.removeprefix(prefix): value.strip() for name, value in form.items() if name.startswith(prefix)}
    return {name: value_of(value) for name, value in given.items() if value}


def value_of(given: str) -> Any:
    """A number, true, a list as JSON has them; whatever else is text."""
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        return given


def _object(form: Form, name: str) -> dict[str, Any]:
    said = form.get(name, "").strip()
    if not said:
        return {}
    try:
        found = orjson.loads(said)
    except orjson.JSONDecodeError as exc:
        raise Unreadable(name, f"is no JSON: {exc}") from None
    if not isinstance(found, dict):
        raise Unreadable(name, "is no JSON object")
    return found


def _rest(given: Mapping[str, Any], own: set[str]) -> str:
    rest = {name: value for name, value in given.items() if name not in own and value not in ({}, None)}
    return as_json(rest) if rest else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
