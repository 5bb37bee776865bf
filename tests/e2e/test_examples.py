"""What people copy from `examples/` works as it stands, on every cluster."""

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from examples import EXAMPLES, applied_example, documents, posted_example
from kubectl import Kubectl
from under_test import Model, Service
from unique import unique
from whole_jobs import ended, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
RESOURCES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
MODEL = re.compile(r'^HUMBLE = \{.*"base_url": "[^"]+"\}$', re.MULTILINE)


@pytest.mark.parametrize("file", RESOURCES)
def test_a_resource_is_applied_and_succeeds(running: Service, model: Model, kubectl: Kubectl, file: str) -> None:
    *named, job = documents(file)
    assert ([document["kind"] for document in named], job["kind"]) == (["ConfigMap"] * len(named), "OptimizationJob")
    for document in named:
        kubectl.apply(document)
    kubectl.apply(applied_example(model, name := unique("example"), file))
    answer = ended(running.http, name)
    assert answer["status"] == "success", answer["message"]


def test_the_payload_is_posted_and_succeeds(running: Service, model: Model) -> None:
    job_id = submit(running.http, orjson.dumps(posted_example(model)))
    answer = ended(running.http, job_id, timeout=300)
    assert answer["status"] == "success", answer["message"]


def test_the_script_submits_watches_and_downloads(running: Service, model: Model, tmp_path: Path) -> None:
    source, changed = MODEL.subn(
        f'HUMBLE = {{"name": "openai/scripted", "base_url": "{model.url}"}}', (EXAMPLES / "submit.py").read_text()
    )
    assert changed == 1
    for name in ("signature.py", "metric.py", "tickets.jsonl"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    (tmp_path / "submit.py").write_text(source)
    environment = os.environ | {"DSPY_SERVICE_URL": running.url, "DSPY_SERVICE_TOKEN": running.token}
    done = subprocess.run(
        [sys.executable, "submit.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^(improved|no_evidence|worse) -?[\d.]+ \(-?[\d.]+, -?[\d.]+\)$", done.stdout, re.MULTILINE)
    assert "the optimized program:" in done.stdout
    assert list(tmp_path.glob("program-*/program.pkl"))
