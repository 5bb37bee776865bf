import pytest

from kubectl import Kubectl
from under_test import Service


@pytest.fixture(scope="session")
def kubectl(running: Service, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(running.kubeconfig, running.namespace, tmp_path_factory.mktemp("home"))
