"""`pip install dspy-service` and nothing else is a client and a command."""

import subprocess
from pathlib import Path

import pytest

from fresh_environment import fresh_python
from whole_service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SCRIPT = """
import importlib.util, sys
from dspy_service import Client, build_payload
payload = build_payload(
    Path("program.py"), metric=Path("metric.py"), trainset=[{"question": "q", "answer": "a"}], lm="openai/m"
)
assert payload["program_code"].startswith("import dspy"), payload
print(Client(sys.argv[1]).health().status)
absent = ("dspy", "pydantic", "fastapi", "kopf", "obstore")
print([name for name in absent if importlib.util.find_spec(name)])
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_python(tmp_path_factory.mktemp("alone") / "venv", str(ROOT))


def test_a_client_needs_nothing_else(alone: Path, running: Service, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import dspy\n\n\nclass Answer(dspy.Module): ...\n")
    (tmp_path / "metric.py").write_text("def metric(gold, pred): return 1\n")
    script = "from pathlib import Path\n" + SCRIPT
    told = subprocess.run(
        [alone, "-I", "-c", script, running.url], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert told.stdout.split("\n")[:2] == ["ok", "[]"], told.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["submit", "--help"]])
def test_so_does_the_command(alone: Path, running: Service, arguments: list[str]) -> None:
    command = [alone.parent / "dspy-service", "--url", running.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
