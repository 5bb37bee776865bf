"""docs/registry.md from end to end: what it tells to write is written, what it tells to type is typed."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fresh_environment import fresh_python
from pages import ROOT, blocks, command_lines
from payloads import payload
from scripted_lm import ScriptedServer
from whole_jobs import ended, submit
from whole_service import Service, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "registry.md").read_text()
INSTALL, CATALOGUE, UP = command_lines(PAGE)
BUILD = '[project]\nname = "acme"\nversion = "0"\n\n[tool.setuptools]\npackages = ["acme"]\n'
REFUSALS = re.findall(r"^\| `([\w-]+)`, `(\{.*?\})` \| 400 `(.+?)` \|$", PAGE, re.M)
RUNS = re.findall(r"^\| `([\w-]+)`, `(\{.*?\})` \| runs", PAGE, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a reader has it before the first command: the service in .venv, the package and the registry file."""
    folder = tmp_path_factory.mktemp("tutorial")
    fresh_python(folder / ".venv", "pip", "--editable", f"{ROOT}[local]")
    (folder / "acme" / "acme").mkdir(parents=True)
    (folder / "acme" / "pyproject.toml").write_text(BUILD)
    (folder / "acme" / "acme" / "__init__.py").touch()
    (folder / "acme" / "acme" / "optimizers.py").write_text(blocks(PAGE, "python")[0])
    (folder / "registry.yaml").write_text(blocks(PAGE, "yaml")[0])
    return folder


@pytest.fixture(scope="module")
def extended(folder: Path) -> Iterator[Service]:
    for command in (INSTALL, CATALOGUE):
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert UP == 'DSPY_SERVICE_REGISTRY="$PWD/registry.yaml" .venv/bin/dspy-service up'
    registry = {"DSPY_SERVICE_REGISTRY": str(folder / "registry.yaml")}
    with service(env=registry, python=folder / ".venv" / "bin" / "python") as running:
        yield running


def test_health_lists_the_names(extended: Service) -> None:
    assert extended.http.get("/health").json() == json.loads(blocks(PAGE, "json")[0])


@pytest.mark.parametrize(("name", "kwargs", "message"), REFUSALS)
def test_misuse_is_refused_as_the_page_says(
    extended: Service, model: ScriptedServer, name: str, kwargs: str, message: str
) -> None:
    wrong = payload(60, model.url, optimizer_name=name, optimizer_kwargs=json.loads(kwargs))
    answer = extended.http.post("/run", content=wrong)
    assert (answer.status_code, answer.json()) == (400, {"detail": message, "code": "unusable_request"})


@pytest.mark.parametrize(("name", "kwargs"), RUNS)
def test_the_optimizer_of_the_page_runs(extended: Service, model: ScriptedServer, name: str, kwargs: str) -> None:
    body = payload(60, model.url, optimizer_name=name, optimizer_kwargs=json.loads(kwargs))
    answer = ended(extended.http, submit(extended.http, body))
    assert answer["status"] == "success", answer["message"]
    assert len(answer["result"]["details"]["candidate_scores"]) == 16
    assert len(answer["result"]["program_artifact"]["program_state"]["demos"]) == json.loads(kwargs)["demos"]
