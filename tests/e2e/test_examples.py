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
MODEL = re.compile(r'^HUMBLE = "[^"]+"$', re.MULTILINE)
CALL = re.compile(r"^( +)(print\(better\()", re.MULTILINE)
TEAMS = ("accounts", "app", "billing", "passes", "repairs", "safety", "stations")


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


def test_the_script_optimizes_its_program(running: Service, model: Model, tmp_path: Path) -> None:
    source, changed = MODEL.subn(f'HUMBLE = "{model.url}"', (EXAMPLES / "optimize.py").read_text())
    assert changed == 1
    source, changed = CALL.subn(
        rf'\1with dspy.context(lm=dspy.LM("openai/s", api_base="{model.local_url}", api_key="n")): \2', source
    )
    assert changed == 1, "jobs may reach the model by another address than this script does"
    for name in ("signature.py", "tickets.jsonl"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    (tmp_path / "optimize.py").write_text(source)
    environment = os.environ | {"DSPY_SERVICE_URL": running.url, "DSPY_SERVICE_TOKEN": running.token}
    done = subprocess.run(
        [sys.executable, "optimize.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    verdict, team = done.stdout.splitlines()[-2:]
    assert re.match(r"<(improved|no evidence|worse): [+-][\d.]+ points \(95 % interval .*; of 40 test rows ", verdict)
    assert team in TEAMS
