"""A Python with nothing but dspy reads an artifact, by the very helper that clients of the original service use."""

import base64
import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from dspy_service import Artifact
from dspy_service.files.artifact_files import write_artifact
from dspy_service.reading import read
from fresh_environment import fresh_python
from payloads import payload, rows
from under_test import Model, Service
from whole_jobs import ended, job, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CALL = """
import importlib.util, pickle, sys
import dspy
assert importlib.util.find_spec("dspy_service_core") is None, "this Python knows the service"
with open("bundle/program.pkl", "rb") as file:
    program = pickle.load(file)
dspy.configure(lm=dspy.LM("openai/x", api_base=sys.argv[1], api_key="k"))
print(program(**{sys.argv[2]: "my bike has a flat tyre"})[sys.argv[3]])
"""
REBUILD = """
import importlib.util, sys
import dspy
assert importlib.util.find_spec("dspy_service_core") is None, "this Python knows the service"
sys.path.insert(0, "bundle")
from load import load_program
program = load_program("bundle", run_code=True)
dspy.configure(lm=dspy.LM("openai/x", api_base=sys.argv[1], api_key="k"))
print(program(**{sys.argv[2]: "my bike has a flat tyre"})[sys.argv[3]])
"""


def materialize_artifact(bundle: dict[str, Any], destination: Path) -> Path:
    """As the original's README has it."""
    dest = Path(destination)
    dest.mkdir(parents=True, exist_ok=True)
    (dest / "metadata.json").write_text(json.dumps(bundle["metadata"], indent=2))
    (dest / "program.pkl").write_bytes(base64.b64decode(bundle["program_pickle_base64"]))
    return dest


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_python(tmp_path_factory.mktemp("clean") / "venv", f"dspy=={version('dspy')}")


@pytest.mark.parametrize("module", ["predict", "cot"])
def test_it_unpickles_and_calls_the_program(
    running: Service, model: Model, clean_python: Path, tmp_path: Path, module: str
) -> None:
    job_id = submit(running.http, payload(30, model.url, module_name=module))
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    bundle = job(running.http, job_id, "/artifact")["program_artifact"]
    materialize_artifact(bundle, tmp_path / "bundle")
    assert called(clean_python, CALL, model, tmp_path) in {row[TARGET] for row in rows(200)}


@pytest.mark.parametrize("module", ["predict", "cot"])
def test_it_makes_the_program_from_source_and_state(
    running: Service, model: Model, clean_python: Path, tmp_path: Path, module: str
) -> None:
    job_id = submit(running.http, payload(30, model.url, module_name=module))
    assert ended(running.http, job_id)["status"] == "success"
    bundle = job(running.http, job_id, "/artifact")["program_artifact"]
    write_artifact(read(Artifact, bundle | {"program_pickle_base64": None}), tmp_path / "bundle")
    assert called(clean_python, REBUILD, model, tmp_path) in {row[TARGET] for row in rows(200)}


SOURCE, *_, TARGET = rows(1)[0]


def called(python: Path, code: str, model: Model, folder: Path) -> str:
    ended = subprocess.run(
        [python, "-I", "-c", code, model.local_url, SOURCE, TARGET],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
