"""`dspy-service up`: the whole service on this machine, in one command. Options -> settings -> `service.serve`."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
import uvloop
from pydantic import ValidationError

from dspy_service_local.apiserver.cluster import ClusterInUse
from dspy_service_local.settings import LocalSettings
from dspy_service_local.up import private_folder
from dspy_service_local.up.launching import NoSandbox
from dspy_service_local.up.own_token import registered, token_file, with_own_token
from dspy_service_local.up.private_folder import FolderOfAnother
from dspy_service_local.up.service import CannotStart, Started, serve

_ENDED_AT_ONCE = 130


@click.command("up", short_help="Run the whole service on this machine.")
@click.option("--host", help="Address to listen on; any other than loopback needs a token.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on.  [default: 8000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of all state.  [default: ~/.dspy-service]")
@click.option(
    "--token",
    is_flag=False,
    flag_value="",
    help="Without a value: close the API by a token of its own, which this user's commands find by themselves. A value "
    "is what clients must send; better given as DSPY_SERVICE_TOKEN, which nobody else sees.",
)
@click.option("--concurrency", type=int, help="Jobs that run at the same time.  [default: 4]")
@click.option("--prewarmed", type=int, help="0: start every job's processes anew, importing dspy.  [default: 1]")
@click.option("--job-endpoints", help="What jobs reach besides internet and models: host:port,...  [default: none]")
@click.option("--sandbox", type=click.Choice(["auto", "require", "off"]), help="Use bubblewrap.  [default: auto]")
def command(**options: Any) -> None:
    """Run API, operator and an embedded cluster until SIGTERM or Ctrl-C.

    Every other setting is an environment variable DSPY_SERVICE_<NAME>.
    """
    try:
        settings = _with_port(LocalSettings(**given_settings(options)))
        _refuse_open_door(settings)
        os.umask(private_folder.UMASK)
        private_folder.take(settings.folder)
        _log_to_file(settings)
        uvloop.run(_run(with_own_token(settings), settings.makes_token))
    except ValidationError as exc:
        raise click.UsageError("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in exc.errors())) from exc
    except (CannotStart, NoSandbox, ClusterInUse, FolderOfAnother, OSError) as exc:
        raise click.ClickException(str(exc)) from exc


def given_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("token") == "":  # the option without a value: a token of the environment's is not overridden
        return {name: value for name, value in given.items() if name != "token"} | {"own_token": True}
    return given


async def _run(settings: LocalSettings, own_token: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_end, stop)
    with ExitStack() as until_the_end:

        def ready(started: Started) -> None:
            if own_token:
                _register(started.local_url, token_file(settings), until_the_end)
            _ready(started)

        await serve(settings, os.environ, stop, _say, ready)


def _register(url: str, token: Path, until_the_end: ExitStack) -> None:
    try:
        until_the_end.enter_context(registered(url, token))
    except (OSError, RuntimeError) as exc:
        _say(f"commands do not find the token by themselves ({exc}): it is in {token}")


def _stop_or_end(stop: asyncio.Event) -> None:
    """Asked a second time: at once. Whatever runs dies with this process."""
    if stop.is_set():
        os._exit(_ENDED_AT_ONCE)
    stop.set()


def _say(line: str) -> None:
    print(f"dspy-service: {line}", flush=True)


def _ready(started: Started) -> None:
    print(f"dspy-service ready at {started.url} (kubeconfig {started.kubeconfig})", flush=True)
    if started.page:
        _say(f"in a browser, within the hour and once: {started.page}")


def _with_port(settings: LocalSettings) -> LocalSettings:
    """Looks before anything is started whether the port can be had; 0 is replaced by a free one."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.create_server((settings.host, settings.port), family=family) as probe:
            return settings.model_copy(update={"port": probe.getsockname()[1]})
    except OSError as exc:
        raise CannotStart(f"cannot listen on {settings.host} port {settings.port}: {exc.strerror}") from exc


def _refuse_open_door(settings: LocalSettings) -> None:
    try:
        loopback = ip_address(settings.host).is_loopback
    except ValueError:
        loopback = settings.host == "localhost"
    if settings.makes_token and settings.auth_mode not in ("", "token"):
        raise CannotStart(
            f"--token closes the API, and DSPY_SERVICE_AUTH_MODE={settings.auth_mode} would not: leave one"
        )
    asked = settings.token.get_secret_value() or settings.makes_token
    if not loopback and not asked and not settings.auth_mode:
        raise CannotStart(
            f"{settings.host} is no loopback address: set DSPY_SERVICE_TOKEN (or --token), or DSPY_SERVICE_AUTH_MODE"
        )


def _log_to_file(settings: LocalSettings) -> None:
    """What concerns the user is printed; everything else goes where the children's logs are."""
    folder = settings.folder / "logs"
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / "up.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])


if __name__ == "__main__":
    sys.exit(command())
