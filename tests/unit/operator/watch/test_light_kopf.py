"""kopf is imported without the Kubernetes client libraries, which the tests' environment has."""

import subprocess
import sys

PROGRAM = """
import sys
import dspy_service_operator.main
print(*(name for name in ("kopf", "kubernetes") if name in sys.modules))
import kubernetes
"""


def test_the_operator_runs_without_the_kubernetes_library_and_hides_it_from_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kopf"]
