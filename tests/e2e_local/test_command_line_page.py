"""docs/command-line.md: the line that reads a job's answers with jq."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from pages import ROOT, command_lines
from payloads import payload
from scripted_lm import ScriptedServer
from whole_jobs import submit
from whole_service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.mark.skipif(not which("jq"), reason="jq is not on this machine")
def test_the_last_score_is_read_from_what_watch_prints(running: Service, model: ScriptedServer) -> None:
    (line,) = command_lines((ROOT / "docs" / "command-line.md").read_text())
    body = json.loads(payload(30, model.url)) | {"run_options": {"name": "tickets"}}
    job_id = submit(running.http, json.dumps(body).encode())
    here = {"DSPY_SERVICE_URL": running.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", line], env=here, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    told = running.http.get(f"/jobs/{job_id}/summary").json()["latest_metrics"]["optimized_test_metric"]
    assert float(done.stdout.split()[-1]) == told
