"""The guide's notebooks run from the first cell to the last, in the environment and by the command that it names."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fresh_environment import fresh_python
from whole_service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "usage_guide"
NOTEBOOKS = sorted(path.name for path in GUIDE.glob("*.ipynb"))
BROKEN = "raise RuntimeError('this cell is wrong')"


@pytest.fixture(scope="session")
def guide_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the guide's README installs it."""
    return fresh_python(tmp_path_factory.mktemp("guide") / "venv", "-r", str(GUIDE / "pyproject.toml"))


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    """A copy to be written to, with the examples beside it. Its kernels listen on sockets in the file system: jupyter
    picks ports that are free and binds them seconds later, and here are others who do the same.
    """
    (tmp_path / "jupyter_config.json").write_text('{"KernelManager": {"transport": "ipc"}}')
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    folder = tmp_path / "usage_guide"
    folder.mkdir()
    for path in (*GUIDE.glob("*.ipynb"), *GUIDE.glob("*.py")):
        shutil.copy(path, folder)
    return folder


def execute(python: Path, notebook: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [str(python.parent / "jupyter"), "execute", "--inplace", notebook.name]
    known = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    known |= {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PLATFORM_DIRS": "1"}
    known |= {"JUPYTER_CONFIG_DIR": str(notebook.parent.parent)}
    return subprocess.run(command, cwd=notebook.parent, env=known | env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_on_a_running_service(
    name: str, guide: Path, guide_python: Path, running: Service, humble_model: str
) -> None:
    done = execute(guide_python, guide / name, DSPY_SERVICE_URL=running.url, GUIDE_MODEL_URL=humble_model)
    assert done.returncode == 0, done.stderr[-3000:]
    cells: list[dict[str, Any]] = [c for c in _cells(guide / name) if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_a_wrong_cell_is_noticed(guide: Path, guide_python: Path) -> None:
    notebook = guide / NOTEBOOKS[0]
    document = json.loads(notebook.read_text())
    document["cells"] = [cell for cell in document["cells"] if cell["cell_type"] == "code"][:1]
    document["cells"][0]["source"] = [BROKEN]
    notebook.write_text(json.dumps(document))
    done = execute(guide_python, notebook)
    assert done.returncode != 0
    assert BROKEN in done.stderr


def _cells(notebook: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return cells
