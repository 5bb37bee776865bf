"""An ensemble of earlier jobs' programs, which are gone when it runs; and one whose programs a ConfigMap holds."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import orjson
import pytest

from dspy_service import Artifact
from dspy_service.files.artifact_files import write_artifact
from dspy_service.reading import read
from kubectl import Kubectl
from pages import ROOT, command_lines
from payloads import METRIC, rows
from under_test import Model, Service
from unique import unique
from whole_jobs import ended, job, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROGRAM = """
class Route(dspy.Module):
    def __init__(self):
        super().__init__()
        self.decide = dspy.ChainOfThought("text, hint -> team")

    def forward(self, text: str):
        from helpers.text import HINT
        return self.decide(text=text, hint=HINT)
"""
SIGNATURE = """
class Route(dspy.Signature):
    text: str = dspy.InputField()
    team: str = dspy.OutputField()
"""
PROGRAMS = ROOT / "docs" / "programs.md"
ALL = {"programs[0].decide.predict", "programs[1].decide.predict"}
REBUILT = """
import contextlib, sys
import dspy
sys.path.insert(0, sys.argv[1])
from load import load_program
program = load_program(sys.argv[1], run_code=True)
assert not any(name.startswith("dspy_service") for name in sys.modules)
seen = {}
class Noting(dspy.LM):
    def __call__(self, prompt=None, *, messages=None, **options):
        seen[messages[-1]["content"].split("hint ## ]]")[1].split()[0]] = True
        raise ValueError("noted")
for each in program.programs:
    with contextlib.suppress(Exception), dspy.context(lm=Noting("openai/none"), adapter=dspy.ChatAdapter()):
        each(text="x")
print(*seen, *(name for name, lead in program.named_predictors() if lead.demos), sep="|")
"""


def request(model: Model, **changes: Any) -> bytes:
    given: dict[str, Any] = {
        "metric_code": METRIC.format(output="team"),
        "dataset": rows(30),
        "split_fractions": {"train": 0.5, "val": 0.0, "test": 0.5},
        "seed": 7,
        "model_config": {"name": "openai/scripted", "base_url": model.url, "extra": {"api_key": "bench"}},
    }
    return orjson.dumps(given | changes)


def earlier(running: Service, model: Model, hint: str) -> str:
    """A job that has optimized the same program beside another file of the same name."""
    files = {"helpers/__init__.py": "", "helpers/text.py": f"HINT = {hint!r}\n"}
    sent = {"program_code": PROGRAM, "program_files": files, "optimizer_name": "dspy.LabeledFewShot"}
    job_id = submit(running.http, request(model, **sent))
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    return job_id


def test_programs_of_jobs_that_are_gone_are_joined(running: Service, model: Model, tmp_path: Path) -> None:
    programs = [earlier(running, model, hint) for hint in ("first", "second")]
    joining = {
        "module_name": "predict",
        "signature_code": SIGNATURE,
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"team": "team"}},
        "optimizer_name": "dspy.Ensemble",
        "optimizer_kwargs": {"programs": programs, "reduce_fn": {"name": "majority", "field": "team"}},
    }
    job_id = submit(running.http, request(model, **joining))
    for earlier_id in programs:
        assert running.http.delete(f"/jobs/{earlier_id}").status_code == 204
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["optimization_metadata"]["optimizer_kwargs"] == joining["optimizer_kwargs"]

    bundle = job(running.http, job_id, "/artifact")["program_artifact"]
    assert set(bundle["program_state"]) - {"metadata"} == set(bundle["messages"]["predictors"]) == ALL
    assert [each["job_id"] for each in bundle["joined_programs"]["programs"]] == programs
    write_artifact(read(Artifact, bundle), tmp_path / "program")
    command = [sys.executable, "-I", "-c", REBUILT, str(tmp_path / "program")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().split("|") == ["first", "second", *sorted(ALL)]


@pytest.mark.skipif(not which("jq"), reason="jq is not on this machine")
def test_programs_from_a_config_map_are_joined(
    running: Service, model: Model, kubectl: Kubectl, tmp_path: Path
) -> None:
    """As whoever has only kubectl joins them, by the page's own line."""
    (line,) = [it for it in command_lines(PROGRAMS.read_text()) if it.startswith("curl -s $SERVICE/jobs/$A")]
    jobs = {letter: earlier(running, model, hint) for letter, hint in (("A", "first"), ("B", "second"))}
    (tmp_path / ".curlrc").write_text(f'header = "Authorization: Bearer {running.token}"\ninsecure\n')
    names = {"SERVICE": running.url, "CURL_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=names | jobs, check=True, timeout=60)
    document = (tmp_path / "programs").read_text()
    name = unique("ensemble")
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"programs": document}})
    spec = {
        "module": {"name": "predict"},
        "signature": {"code": SIGNATURE},
        "columns": {"inputs": {"text": "text"}, "outputs": {"team": "team"}},
        "optimizer": {"name": "dspy.Ensemble"},
        "joined": {"configMapKeyRef": {"name": name, "key": "programs"}},
        "models": {"default": {"name": "openai/scripted", "baseUrl": model.url}},
        "metric": {"code": METRIC.format(output="team")},
        "dataset": {"rows": rows(30)},
        "split": {"train": "0.5", "val": "0", "test": "0.5", "seed": 7},
    }
    metadata = {"name": name}
    kubectl.apply(
        {"apiVersion": "dspy-service.io/v1alpha1", "kind": "OptimizationJob", "metadata": metadata, "spec": spec}
    )
    answer = ended(running.http, name)
    assert answer["status"] == "success", answer["message"]
    assert set(job(running.http, name, "/artifact")["program_artifact"]["program_state"]) - {"metadata"} == ALL
