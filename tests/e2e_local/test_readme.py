"""The README's own session, typed as it stands but for what differs from one machine to the next."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml

from examples import applied_example, posted_example
from pages import ROOT, Shown, sessions
from scripted_lm import ScriptedServer
from whole_jobs import ended
from whole_service import Service

pytestmark = pytest.mark.e2e

ON_A_CLUSTER = "## On a Kubernetes cluster"
SESSION = list(sessions((ROOT / "README.md").read_text().partition(ON_A_CLUSTER)[0]))
"""What follows is another cluster's."""
SHOWN_JOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def folder(tmp_path: Path, model: ScriptedServer) -> Path:
    """With examples that ask the tests' model."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "payload.json").write_bytes(orjson.dumps(posted_example(model)))
    (tmp_path / "examples" / "job.yaml").write_text(yaml.safe_dump(applied_example(model, "tickets")))
    return tmp_path


def typed(shown: Shown, running: Service, job_id: str, folder: Path) -> str:
    command = shown.command.replace("http://127.0.0.1:8000", running.url)
    command = SHOWN_JOB.sub(job_id, command)
    env = os.environ | {"KUBECONFIG": str(running.kubeconfig), "HOME": str(folder)}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_session_with_curl_answers_as_shown(running: Service, folder: Path) -> None:
    submitted, summarized = [shown for shown in SESSION if shown.command.startswith("curl ")]
    answer = orjson.loads(typed(submitted, running, "", folder))
    assert answer.keys() == orjson.loads(submitted.output).keys()
    ended(running.http, answer["job_id"])
    summary, shown = (
        orjson.loads(text) for text in (typed(summarized, running, answer["job_id"], folder), summarized.output)
    )
    assert summary.keys() == shown.keys()
    assert summary["latest_metrics"].keys() == shown["latest_metrics"].keys()
    for name in ("status", "message", "dataset_rows", "split_fractions", "seed", "optimizer_kwargs"):
        assert summary[name] == shown[name]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine")
def test_the_session_with_kubectl_answers_as_shown(running: Service, folder: Path) -> None:
    exported, applied, waited, listed = [shown for shown in SESSION if "kube" in shown.command]
    assert exported.command == "export KUBECONFIG=~/.dspy-service/kubeconfig"
    assert typed(applied, running, "", folder) == applied.output
    assert typed(waited, running, "", folder) == waited.output
    header, *lines = typed(listed, running, "", folder).splitlines()
    assert header.split() == listed.output.splitlines()[0].split()
    assert any(line.split()[:4] == ["tickets", "Succeeded", "dspy.BootstrapFewShot", "predict"] for line in lines)
