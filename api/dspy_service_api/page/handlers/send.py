"""A new job: from nothing, from an earlier one, or from a payload's file; checked by the dry run while one types.

Keys go one way: what was typed is sent on and never shown again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused, name
from dspy_service_api.page.views.payload_form import (
    ARGUMENTS,
    COMPILE_ARGUMENTS,
    Unreadable,
    form_of,
    payload_of,
    read_rows,
)
from dspy_service_api.page.visit import Visit

_NEVER_SHOWN = (".key",)
_SECRET = "secret."
_BLANK: dict[str, Any] = {
    "module_name": "predict",
    "signature_code": (
        "import dspy\n\n\nclass Answer(dspy.Signature):\n"
        '    """Answer the question."""\n\n'
        "    question: str = dspy.InputField()\n    answer: str = dspy.OutputField()\n"
    ),
    "metric_code": "def metric(gold, pred, trace=None):\n    return gold.answer == pred.answer\n",
    "optimizer_name": "miprov2",
    "optimizer_kwargs": {"auto": "light"},
    "column_mapping": {"inputs": {"question": "question"}, "outputs": {"answer": "answer"}},
    "model_config": {"name": "openai/gpt-4o-mini"},
}


@dataclass(frozen=True, slots=True)
class Rows:
    found: list[Any]
    said: str


async def new(visit: Visit) -> Response:
    earlier = visit.request.query_params.get("from", "")
    payload = await visit.contract.get(f"/jobs/{name(earlier)}/payload") if earlier else _BLANK
    rows = payload.get("dataset") or []
    return await _shown(visit, form_of(payload, len(rows)), earlier, len(rows))


async def from_file(visit: Visit) -> Response:
    """A payload's file becomes the form. Its rows are kept in the form, since they lie nowhere else."""
    form = await visit.form()
    payload, wrong = await _payload_file(form)
    if wrong:
        return await _shown(visit, form_of(_BLANK, 0), "", 0, Refused(400, {"detail": wrong}), status=400)
    rows = payload.get("dataset") or []
    kept = form_of(payload, len(rows)) | {"pasted": orjson.dumps(rows).decode()}
    return await _shown(visit, kept, "", len(rows))


async def arguments(visit: Visit) -> Response:
    """Those of the optimizer that was chosen."""
    wanted = visit.request.query_params.get("optimizer_name", "")
    form = {
        key: value
        for key, value in visit.request.query_params.items()
        if key.startswith((ARGUMENTS, COMPILE_ARGUMENTS))
    }
    found = await _optimizer(visit.contract, wanted)
    return visit.show("arguments.html", optimizer=found, form=form)


async def check(visit: Visit) -> Response:
    """The dry run's word about what the form says now."""
    form = await visit.form()
    try:
        payload = await _payload(visit, form)
        checked = await visit.contract.send("POST", "/run", payload, {"dry_run": "true"})
    except (Unreadable, Refused) as exc:
        if isinstance(exc, Refused) and exc.status in (401, 403):
            raise
        return visit.show("outlook.html", checked=None, refused=_refusal(exc))
    return visit.show("outlook.html", checked=checked, refused=None)


async def send(visit: Visit) -> Response:
    form = await visit.form()
    try:
        accepted = await visit.contract.send("POST", "/run", await _payload(visit, form))
    except (Unreadable, Refused) as exc:
        if isinstance(exc, Refused) and exc.status in (401, 403):
            raise
        rows = await _rows_said(visit, form)
        refused = _refusal(exc)
        return await _shown(visit, _texts(form), str(form.get("from", "")), rows, refused, status=refused.status)
    return visit.go(f"/page/jobs/{name(accepted['job_id'])}")


async def _shown(
    visit: Visit, form: Mapping[str, str], earlier: str, rows: int, refused: Refused | None = None, status: int = 200
) -> Response:
    catalogue = await visit.contract.get("/catalogue")
    shown = {key: "" if key.endswith(_NEVER_SHOWN) or key.startswith(_SECRET) else value for key, value in form.items()}
    return visit.show(
        "new.html",
        status,
        form=shown,
        earlier=earlier,
        rows=rows,
        refused=refused,
        modules=[each for each in catalogue["modules"] if each["refused"] is None],
        optimizers=[each for each in catalogue["optimizers"] if each["refused"] is None],
        optimizer=_named(catalogue, form.get("optimizer_name", "")),
        secrets=[key.removeprefix(_SECRET) for key in form if key.startswith(_SECRET)],
    )


async def _optimizer(contract: Contract, wanted: str) -> Mapping[str, Any] | None:
    return _named(await contract.get("/catalogue"), wanted)


def _named(catalogue: Mapping[str, Any], wanted: str) -> Mapping[str, Any] | None:
    found = (each for each in catalogue["optimizers"] if wanted in (*each["aliases"], *each["paths"], each["path"]))
    return next(found, None)


async def _payload(visit: Visit, form: FormData) -> dict[str, Any]:
    return payload_of(_texts(form), (await _rows(visit, form)).found)


async def _rows(visit: Visit, form: FormData) -> Rows:
    """A file that was chosen now, what was pasted, or the earlier job's."""
    file = form.get("file")
    if isinstance(file, UploadFile) and file.filename:
        return Rows(read_rows(file.filename, await file.read()), file.filename)
    if pasted := str(form.get("pasted", "")).strip():
        return Rows(read_rows("What was pasted", pasted.encode()), "pasted")
    if earlier := str(form.get("from", "")):
        payload = await visit.contract.get(f"/jobs/{name(earlier)}/payload")
        return Rows(payload.get("dataset") or [], earlier)
    return Rows([], "")


async def _rows_said(visit: Visit, form: FormData) -> int:
    try:
        return len((await _rows(visit, form)).found)
    except (Unreadable, Refused):
        return 0


async def _payload_file(form: FormData) -> tuple[Mapping[str, Any], str]:
    file = form.get("payload")
    if not isinstance(file, UploadFile) or not file.filename:
        return {}, "Choose a payload's file first."
    try:
        found = orjson.loads(await file.read())
    except orjson.JSONDecodeError as exc:
        return {}, f"{file.filename} is no JSON: {exc}."
    return (found, "") if isinstance(found, dict) else ({}, f"{file.filename} is no JSON object.")


def _texts(form: FormData) -> dict[str, str]:
    return {key: value for key, value in form.items() if isinstance(value, str)}


def _refusal(exc: Unreadable | Refused) -> Refused:
    if isinstance(exc, Refused):
        return exc
    problem = {"field": exc.field, "message": str(exc), "type": "unreadable"}
    return Refused(422, {"detail": [problem], "code": "invalid_request"})
