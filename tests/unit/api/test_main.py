"""The command: what cannot work is said in one line, before anything listens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KUBECONFIG = """apiVersion: v1
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: a, user: {}}]
"""


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"KUBECONFIG": "/nowhere"}, "cannot read kubeconfig /nowhere"),
        ({"DSPY_SERVICE_HOST": "0.0.0.0"}, "set DSPY_SERVICE_TOKEN"),
        ({"DSPY_SERVICE_PORT": "x"}, "DSPY_SERVICE_PORT: Input should be a valid integer"),
        ({"DSPY_SERVICE_LOG_LEVEL": "loud"}, "DSPY_SERVICE_LOG_LEVEL: Input should be 'DEBUG'"),
        ({"DSPY_SERVICE_STORE_URL": "ftp://x"}, "a store's URL begins with"),
        ({"DSPY_SERVICE_REGISTRY": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(variables: dict[str, str], says: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    given = {"KUBECONFIG": str(kubeconfig), "DSPY_SERVICE_STORE_URL": (tmp_path / "store").as_uri(), **variables}
    command = [sys.executable, "-c", "from dspy_service_api.main import main; main()"]
    ended = subprocess.run(command, env=kept | given, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
