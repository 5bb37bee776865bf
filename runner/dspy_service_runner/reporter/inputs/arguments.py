"""What the operator passes to a reporter: its command line (made in `runner_job`) and the pod's environment.

Both are read once, at the start; no other module looks at `argv` or the environment.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arguments:
    """The settings of a reporter for one attempt of one job. Those with a default may be left out by the operator."""

    in_folder: Path
    out_folder: Path
    refs_folder: Path
    token_folder: Path
    job_store: str
    artifact_store: str
    resource: str
    namespace: str
    attempt: int
    targets: str
    pod_uid: str
    api_server: str
    progress_interval: float = 2.0
    flush_interval: float = 5.0
    heartbeat_interval: float = 10.0
    ask_interval: float = 1.0
    unheard_limit: float = 60.0
    grace_period: float = 25.0
    log_quota: int = 256 * MEGABYTE
    event_quota: int = 64 * MEGABYTE
    candidates_quota: int = 64 * MEGABYTE
    calls_quota: int = 1024 * MEGABYTE
    checkpoint_limit: int = 64 * MEGABYTE
    dataset_limit: int = 512 * MEGABYTE
    uri_prefixes: tuple[str, ...] = ()


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> Arguments:
    given = vars(_parser().parse_args(argv))
    return Arguments(
        **given,
        pod_uid=environ["POD_UID"],
        api_server=_api_server(environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]),
        uri_prefixes=tuple(environ.get("DSPY_SERVICE_URI_PREFIXES", "").replace(",", " ").split()),
    )


def _api_server(host: str, port: str) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dspy-service-reporter", description="Reports one attempt of an optimization job. Started by the operator."
    )
    add = parser.add_argument
    add("--in", dest="in_folder", type=Path, required=True, help="folder that the optimizer reads")
    add("--out", dest="out_folder", type=Path, required=True, help="folder that the optimizer writes")
    add("--refs", dest="refs_folder", type=Path, required=True, help="folder of the ConfigMap references")
    add("--token-dir", dest="token_folder", type=Path, required=True, help="folder with token and ca.crt")
    add("--job-store", required=True, help="URL of the job's folder in the store")
    add("--artifact-store", required=True, help="URL of the artifact's folder in the store")
    add("--resource", required=True, help="name of the OptimizationJob")
    add("--namespace", required=True, help="its namespace")
    add("--attempt", type=int, required=True, help="which attempt this pod is")
    add("--targets", required=True, help="what the job's module and optimizer names stand for, as JSON")
    _add_limits(parser)
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    def add(name: str, kind: type[float] | type[int], text: str) -> None:
        default = getattr(_DEFAULTS, name.removeprefix("--").replace("-", "_"))
        parser.add_argument(name, type=kind, default=default, help=f"{text} (default: {default})")

    add("--progress-interval", float, "seconds between patches of the progress")
    add("--flush-interval", float, "seconds within which what was written is in the store")
    add("--unheard-limit", float, "seconds without an answer of the API server after which the store is left alone")
    add("--heartbeat-interval", float, "seconds within which the status is patched though nothing changed")
    add("--ask-interval", float, "seconds within which it is known what the job's owner asks, such as a stop")
    add("--grace-period", float, "seconds after SIGTERM in which draining is tried; below the pod's own")
    add("--log-quota", int, "bytes of log lines kept of all attempts together")
    add("--event-quota", int, "bytes of events kept of all attempts together")
    add("--candidates-quota", int, "bytes of tried programs kept of all attempts together")
    add("--calls-quota", int, "bytes of answered model calls kept of all attempts together")
    add("--checkpoint-limit", int, "bytes of checkpoint files kept")
    add("--dataset-limit", int, "bytes that a dataset behind a URI may have")


_DEFAULTS = Arguments(Path(), Path(), Path(), Path(), "", "", "", "", 1, "", "", "")
