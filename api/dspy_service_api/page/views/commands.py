"""The lines that do on a command line, in Python and with curl what the page shows. No token is in them: the first two
find it by themselves or in the environment."""

import json
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lines:
    shell: str
    python: str
    curl: str


def watch(url: str, job_id: str, asks_for_token: bool) -> Lines:
    job, header = shlex.quote(job_id), _header(asks_for_token)
    return Lines(
        shell=f"dspy-service --url {shlex.quote(url)} watch {job}",
        python=(
            f"from dspy_service import Client\n\nfor update in Client({url!r}).watch({job_id!r}):\n"
            "    print(update.summary)"
        ),
        curl=f"curl {header}{shlex.quote(f'{url}/jobs/{job_id}/summary')}",
    )


def program(url: str, job_id: str, asks_for_token: bool) -> Lines:
    job, header = shlex.quote(job_id), _header(asks_for_token)
    return Lines(
        shell=f"dspy-service --url {shlex.quote(url)} artifact {job} -o program",
        python=f"from dspy_service import Client\n\nClient({url!r}).download({job_id!r}, 'program')",
        curl=f"curl {header}{shlex.quote(f'{url}/jobs/{job_id}/artifact')}",
    )


def again(url: str, job_id: str, asks_for_token: bool) -> Lines:
    job, header = shlex.quote(job_id), _header(asks_for_token)
    service = f"dspy-service --url {shlex.quote(url)}"
    return Lines(
        shell=f"{service} payload {job} > payload.json\n{service} submit payload.json",
        python=(
            f"from dspy_service import Client\n\nclient = Client({url!r})\nclient.submit(client.payload({job_id!r}))"
        ),
        curl=(
            f"curl {header}{shlex.quote(f'{url}/jobs/{job_id}/payload')} > payload.json\n"
            f"curl {header}-H 'Content-Type: application/json' -d @payload.json {shlex.quote(f'{url}/run')}"
        ),
    )


def _header(asks_for_token: bool) -> str:
    return '-H "Authorization: Bearer $DSPY_SERVICE_TOKEN" ' if asks_for_token else ""


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
