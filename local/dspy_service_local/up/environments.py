"""Who sees which variables: containers next to nothing, the service's own children all but the model keys."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from dspy_service_core.resource import names
from dspy_service_local.settings import LocalSettings
from dspy_service_local.up.bootstrap import NAMESPACE

_NOT_PASSED_ON = ("PYTHONDONTWRITEBYTECODE", "DSPY_SERVICE_TOKEN")


def model_keys(settings: LocalSettings, environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in settings.model_key_variables if environment.get(name)}


def container_environment(settings: LocalSettings, environment: Mapping[str, str], api_url: str) -> dict[str, str]:
    """What an image would set, and where a kubelet says that the API server is."""
    env = {name: environment[name] for name in settings.pod_environment if environment.get(name)}
    host, _, port = api_url.removeprefix("https://").rpartition(":")
    path = env.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return env | {
        "PATH": f"{Path(sys.prefix) / 'bin'}:{path}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
    }


def child_environment(
    settings: LocalSettings,
    environment: Mapping[str, str],
    kubeconfig: Path,
    metrics_port: int,
    own_ports: Collection[int] = (),
) -> dict[str, str]:
    """For the API or the operator; their own settings, where the user gave some, come through. No token: the API's."""
    hidden = {*settings.model_key_variables, *_NOT_PASSED_ON}
    inherited = {name: value for name, value in environment.items() if name not in hidden}
    return inherited | {
        "KUBECONFIG": str(kubeconfig),
        "DSPY_SERVICE_HOST": settings.host,
        "DSPY_SERVICE_PORT": str(settings.port),
        "DSPY_SERVICE_AUTH_MODE": settings.auth_mode,
        "DSPY_SERVICE_METRICS_HOST": "127.0.0.1",
        "DSPY_SERVICE_METRICS_PORT": str(metrics_port),
        "DSPY_SERVICE_NAMESPACE": NAMESPACE,
        "DSPY_SERVICE_NAMESPACES": NAMESPACE,
        "DSPY_SERVICE_STORE_URL": store_folder(settings).as_uri(),
        "DSPY_SERVICE_STORE_CLAIM": names.STORE_CLAIM,
        "DSPY_SERVICE_CONCURRENCY": str(settings.concurrency),
        "DSPY_SERVICE_FLUSH_INTERVAL_SECONDS": f"{settings.flush_interval_seconds:g}",
        "DSPY_SERVICE_PROGRESS_INTERVAL_SECONDS": f"{settings.progress_interval_seconds:g}",
        "DSPY_SERVICE_KEY_HOSTS": ",".join(settings.key_hosts),
        "DSPY_SERVICE_OWN_PORTS": ",".join(map(str, sorted(own_ports))),
        "DSPY_SERVICE_JOBS_RUN_HERE": "true",
        "DSPY_SERVICE_LOG_LEVEL": settings.log_level,
    }


def own_ports(settings: LocalSettings, api_url: str) -> frozenset[int]:
    """All that the service listens on."""
    cluster = int(api_url.rpartition(":")[2])
    return frozenset({settings.port, cluster, settings.api_metrics_port, settings.operator_metrics_port} - {0})


def store_folder(settings: LocalSettings) -> Path:
    return settings.folder / "volumes" / NAMESPACE / names.STORE_CLAIM
