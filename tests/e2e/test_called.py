"""A job by what it is called, from the command line to the pod and back."""

import json
import subprocess
import sys

import pytest

from payloads import payload
from under_test import Model, Service
from unique import unique
from whole_jobs import ended, submit

pytestmark = pytest.mark.e2e


def test_a_job_is_followed_read_and_deleted_by_its_name(running: Service, model: Model) -> None:
    name = unique("called")
    body = json.loads(payload(30, model.url)) | {"run_options": {"name": name, "note": "the first"}}
    job_id = submit(running.http, json.dumps(body).encode())

    def typed(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "dspy_service", "--url", running.url, "--token", running.token, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    taken = running.http.post("/run", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    watched = [json.loads(line) for line in typed("watch", name, "--output", "json").splitlines()]
    assert (watched[-1]["status"]["job_id"], watched[-1]["status"]["status"]) == (job_id, "success")
    assert "note       the first\n" in typed("show", name)
    assert json.loads(typed("show", job_id[:13], "--output", "json"))["name"] == name

    again = submit(running.http, json.dumps(body).encode())
    assert typed("delete", name, code=2) == ""
    assert ended(running.http, name)["job_id"] == again
    assert typed("delete", job_id, again) == f"deleted {job_id}\ndeleted {again}\n"
    typed("show", name, code=4)
