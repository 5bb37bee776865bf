"""What can be taken away from a job, as files."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused, name
from dspy_service_api.page.views.rows import as_csv
from dspy_service_api.page.visit import Visit

_TEXT, _JSON, _BYTES = "text/plain; charset=utf-8", "application/json", "application/octet-stream"
_PAGE = 5000
Made = tuple[bytes, str]


async def download(visit: Visit, job_id: str, file: str) -> Response:
    make = FILES.get(file)
    if make is None:
        raise Refused(404, {"detail": f"There is no file '{file}' of a job.", "code": "unknown_path"})
    content, kind = await make(visit.contract, job_id)
    return visit.download(content, f"{job_id}-{file}", kind)


async def _rows(contract: Contract, job_id: str) -> Made:
    rows: list[Any] = []
    after: int | None = None
    while page := await contract.rows(job_id, "all", after, _PAGE):
        rows += page
        after = page[-1]["n"]
        if len(page) < _PAGE:
            break
    return as_csv(rows).encode(), "text/csv; charset=utf-8"


async def _log(contract: Contract, job_id: str) -> Made:
    entries = await contract.get(f"/jobs/{name(job_id)}/logs")
    lines = (f"{each['timestamp']} {each['level']} {each['logger']}: {each['message']}\n" for each in entries)
    return "".join(lines).encode(), _TEXT


async def _payload(contract: Contract, job_id: str) -> Made:
    return _json(await contract.get(f"/jobs/{name(job_id)}/payload"))


def _of_artifact(part: str, make: Callable[[Any], Made]) -> Callable[[Contract, str], Awaitable[Made]]:
    async def made(contract: Contract, job_id: str) -> Made:
        artifact = await contract.artifact(job_id)
        if artifact is None or artifact.get(part) is None:
            raise Refused(404, {"detail": "The job has no such file.", "code": "no_artifact"})
        return make(artifact[part])

    return made


def _json(value: Any) -> Made:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2), _JSON


def _text(value: Any) -> Made:
    return str(value).encode(), _TEXT


def _pickle(value: Any) -> Made:
    return base64.b64decode(str(value)), _BYTES


FILES: Mapping[str, Callable[[Contract, str], Awaitable[Made]]] = {
    "state.json": _of_artifact("program_state", _json),
    "baseline.json": _of_artifact("baseline_state", _json),
    "messages.json": _of_artifact("messages", _json),
    "prompt.md": _of_artifact("optimized_prompt", _text),
    "program.py": _of_artifact("program_code", _text),
    "signature.py": _of_artifact("signature_code", _text),
    "program.pkl": _of_artifact("program_pickle_base64", _pickle),
    "rows.csv": _rows,
    "log.txt": _log,
    "payload.json": _payload,
}
