"""A program of the user's own with its files, over HTTP and as a resource, to its optimized self."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from dspy_service import Artifact
from dspy_service.files.artifact_files import write_artifact
from dspy_service.reading import read
from kubectl import Kubectl
from payloads import METRIC, rows
from under_test import Model, Service
from unique import unique
from waiting import wait_for
from whole_jobs import ended, job, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROGRAM = """
from helpers.text import clean, is_station

class Route(dspy.Module):
    def __init__(self, hint="none"):
        super().__init__()
        self.summarize = dspy.Predict("text, hint -> summary")
        self.decide = dspy.ChainOfThought("text, summary, at_station: bool -> team")
        self.hint = hint

    def forward(self, text: str):
        summary = self.summarize(text=clean(text), hint=self.hint).summary
        return self.decide(text=text, summary=summary, at_station=is_station(text))
"""
HELPER = """
from pathlib import Path

STATIONS = Path(__file__).parent.parent.joinpath("data", "stations.csv").read_text().split()

def clean(text):
    return text.strip()

def is_station(text):
    return any(name in text for name in STATIONS)
"""
FILES = {"helpers/__init__.py": "", "helpers/text.py": HELPER, "data/stations.csv": "Harbour\nObservatory\n"}
PREDICTORS = {"summarize", "decide.predict"}


def body(model: Model, **changes: Any) -> bytes:
    request = {
        "program_code": PROGRAM,
        "program_files": FILES,
        "module_kwargs": {"hint": "be brief"},
        "metric_code": METRIC.format(output="team"),
        "optimizer_name": "dspy.BootstrapFewShot",
        "optimizer_kwargs": {"max_bootstrapped_demos": 2, "max_labeled_demos": 4},
        "dataset": rows(30),
        "split_fractions": {"train": 0.5, "val": 0.0, "test": 0.5},
        "seed": 7,
        "model_config": {"name": "openai/scripted", "base_url": model.url, "extra": {"api_key": "bench"}},
    }
    return orjson.dumps(request | changes)


def resource(model: Model, name: str) -> dict[str, Any]:
    def key(of: str) -> dict[str, Any]:
        return {"configMapKeyRef": {"name": name, "key": of}}

    spec = {
        "program": {
            **key("program.py"),
            "kwargs": {"hint": "be brief"},
            "files": [
                {"path": "helpers/__init__.py", **key("init")},
                {"path": "helpers/text.py", **key("text.py")},
                {"path": "data/stations.csv", **key("stations.csv")},
            ],
        },
        "optimizer": {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 2}},
        "models": {"default": {"name": "openai/scripted", "baseUrl": model.url}},
        "metric": {"code": METRIC.format(output="team")},
        "dataset": {"rows": rows(30)},
        "split": {"train": "0.5", "val": "0", "test": "0.5", "seed": 7},
    }
    metadata = {"name": name}
    return {"apiVersion": "dspy-service.io/v1alpha1", "kind": "OptimizationJob", "metadata": metadata, "spec": spec}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def contents() -> dict[str, str]:
    init, text, stations = FILES.values()
    return {"program.py": PROGRAM, "init": init, "text.py": text, "stations.csv": stations}


def succeeded(running: Service, job_id: str) -> Any:
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    state = job(running.http, job_id, "/artifact")["program_artifact"]["program_state"]
    assert set(state) >= PREDICTORS
    return answer


def test_a_program_over_http(running: Service, model: Model) -> None:
    job_id = submit(running.http, body(model))
    answer = succeeded(running, job_id)
    assert answer["result"]["module_name"] == "Route"
    assert answer["result"]["optimization_metadata"]["module_kwargs"] == {"hint": "be brief"}


FORGING = """
import contextlib

def forge():
    for name in ("program.py", "program_files.json", "arguments.json", "signature.py"):
        with contextlib.suppress(OSError), open(f"/job/out/artifact/{name}", "w") as file:
            file.write("forged")
"""
REBUILT = """
import sys
sys.path.insert(0, sys.argv[1])
from load import load_program
program = load_program(sys.argv[1], run_code=True)
assert not any(name.startswith("dspy_service") for name in sys.modules)
print(program.hint, *(name for name, lead in program.named_predictors() if lead.demos), sep="|")
"""


def test_what_comes_back_is_what_was_sent_and_makes_the_program_again(
    running: Service, model: Model, tmp_path: Path
) -> None:
    metric = FORGING + METRIC.format(output="team").replace("trace=None):\n", "trace=None):\n    forge()\n")
    job_id = submit(running.http, body(model, metric_code=metric))
    succeeded(running, job_id)
    bundle = job(running.http, job_id, "/artifact")["program_artifact"]
    assert (bundle["program_code"], bundle["program_files"]) == (PROGRAM, FILES)
    assert bundle["arguments"] == {
        "module": None,
        "class": "Route",
        "kwargs": {"hint": "be brief"},
        "adapter": "chat",
    }
    assert set(bundle["messages"]["predictors"]) == set(bundle["baseline_state"]) - {"metadata"} == PREDICTORS
    write_artifact(read(Artifact, bundle), tmp_path / "program")
    command = [sys.executable, "-I", "-c", REBUILT, str(tmp_path / "program")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "be brief|summarize|decide.predict"


def test_a_program_whose_files_are_beyond_a_resource(running: Service, model: Model) -> None:
    large = {f"data/more-{n}.csv": f"Nowhere-{n}\n" * 3_000 for n in range(20)}
    answer = succeeded(running, submit(running.http, body(model, program_files=FILES | large)))
    assert answer["result"]["split_counts"] == {"train": 15, "val": 0, "test": 15}


def test_a_signature_beside_a_program_is_seen_by_it(running: Service, model: Model) -> None:
    signature = "class Decide(dspy.Signature):\n    text: str = dspy.InputField()\n    team: str = dspy.OutputField()\n"
    program = "class Route(dspy.Module):\n    def __init__(self):\n        self.decide = dspy.Predict(Decide)\n"
    program += "    def forward(self, message):\n        return self.decide(text=message)\n"
    beside = {"signature_code": signature, "program_files": {}, "module_kwargs": {}}
    mapping = {"inputs": {"message": "text"}, "outputs": {"team": "team"}}
    job_id = submit(running.http, body(model, program_code=program, column_mapping=mapping, **beside))
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]


def test_a_program_from_config_maps(running: Service, model: Model, kubectl: Kubectl) -> None:
    name = unique("program")
    kubectl.apply(config_map(name, **contents()))
    kubectl.apply(resource(model, name))
    assert succeeded(running, name)["job_id"] == name


def test_a_program_waits_for_its_file(running: Service, model: Model, kubectl: Kubectl) -> None:
    name = unique("waiting")
    kubectl.apply(config_map(name, **{key: text for key, text in contents().items() if key != "text.py"}))
    kubectl.apply(resource(model, name))
    missing = f"spec.program.files[1].configMapKeyRef: ConfigMap '{name}' has no text under 'text.py'"
    wait_for(lambda: missing in job(running.http, name)["message"], timeout=60, what="the missing file to be named")
    kubectl.apply(config_map(name, **contents()))
    succeeded(running, name)
