"""`up --token`: a token nobody has to know, found by this user's clients at exactly that URL and nowhere else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from dspy_service import AsyncClient, Client
from dspy_service.files.local_services import FOLDER, file_name, found_token
from dspy_service.files.state_folder import state_folder
from dspy_service_local.settings import LocalSettings
from dspy_service_local.up import command as up
from dspy_service_local.up.environments import child_environment, container_environment
from dspy_service_local.up.own_token import registered, token_file, with_own_token
from waiting import wait_for

URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DSPY_SERVICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "data").mkdir()


def closed(folder: Path, **more: object) -> LocalSettings:
    given: dict[str, object] = {"data_dir": folder / "data", "own_token": True, **more}
    return with_own_token(LocalSettings.model_validate(given))


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return closed(tmp_path)


@pytest.fixture
def living(settings: LocalSettings) -> Iterator[LocalSettings]:
    with registered(URL, token_file(settings)):
        yield settings


def secret(settings: LocalSettings) -> str:
    return settings.token.get_secret_value()


def test_it_is_made_once_kept_and_its_owners_alone(tmp_path: Path, settings: LocalSettings) -> None:
    assert len(secret(settings)) >= 43
    assert settings.auth_mode == "token"
    assert token_file(settings).read_text().strip() == secret(settings)
    assert token_file(settings).stat().st_mode & 0o777 == 0o600
    assert secret(closed(tmp_path)) == secret(settings)


@pytest.mark.parametrize("spoilt", ["empty", "readable", "link", "pipe", "short"])
def test_one_that_others_may_know_is_replaced(tmp_path: Path, settings: LocalSettings, spoilt: str) -> None:
    file, before = token_file(settings), secret(settings)
    if spoilt == "readable":
        file.chmod(0o644)
    else:
        file.unlink()
        (tmp_path / "elsewhere").write_text(f"{before}\n")
        {"link": lambda: file.symlink_to(tmp_path / "elsewhere"), "pipe": lambda: os.mkfifo(file, 0o600)}.get(
            spoilt, lambda: file.write_text("" if spoilt == "empty" else "short")
        )()
    after = secret(closed(tmp_path))
    assert after != before
    assert (file.read_text().strip(), file.is_symlink(), file.stat().st_mode & 0o777) == (after, False, 0o600)


def test_a_given_token_wins(tmp_path: Path) -> None:
    given = closed(tmp_path, token=SecretStr("given"))
    assert (secret(given), given.makes_token) == ("given", False)
    assert not token_file(given).exists()


def test_the_api_alone_is_told(tmp_path: Path, settings: LocalSettings) -> None:
    environment = {"PATH": "/bin", "DSPY_SERVICE_TOKEN": "inherited"}
    for env in (
        child_environment(settings, environment, tmp_path, 0),
        container_environment(settings, environment, "https://127.0.0.1:1"),
    ):
        assert not {secret(settings), "inherited"} & set(env.values())


def test_this_users_clients_find_it_at_that_url(living: LocalSettings) -> None:
    assert found_token(URL) == secret(living)
    assert found_token(f"{URL}/") is None, "the client cuts the slash off before it asks"
    assert seen_header(URL) == seen_header(f"{URL}/") == f"Bearer {secret(living)}"


def seen_header(url: str, token: str | None = None) -> str | None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        elsewhere = {"location": "http://127.0.0.1:9000/health"}
        return httpx.Response(307, headers=elsewhere, json={}) if len(seen) == 1 else httpx.Response(500)

    with Client(url, token, transport=httpx.MockTransport(answer)) as client, pytest.raises(Exception, match="307"):
        client.health()
    assert len(seen) == 1, "a redirect was followed"
    return seen[0].headers.get("authorization")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8001", "http://localhost:8000", "http://127.0.0.2:8000", "https://127.0.0.1:8000"),
        *(
            "http://127.0.0.1:8000@example.org",
            "http://x@127.0.0.1:8000",
            "http://example.org:8000",
            "http://[::1]:8000",
        ),
        *("http://127.0.0.1:8000/prefix", "HTTP://127.0.0.1:8000", "http://", "", "http://[", "127.0.0.1:8000"),
    ],
)
def test_no_other_url_is_sent_it(living: LocalSettings, url: str) -> None:
    assert found_token(url) is None


def test_a_url_elsewhere_has_none_whoever_registered_it(settings: LocalSettings) -> None:
    with registered("http://example.org:8000", token_file(settings)):
        assert found_token("http://example.org:8000") is None


def test_given_ones_go_first(living: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen_header(URL, "given") == "Bearer given"
    monkeypatch.setenv("DSPY_SERVICE_TOKEN", "of the environment")
    assert seen_header(URL) == "Bearer of the environment"


def proxied(client: httpx.Client | httpx.AsyncClient) -> bool:
    return client.trust_env


async def test_no_proxy_of_the_environment_sees_it(living: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that trusts the environment would send even loopback's requests through HTTP_PROXY."""
    for kind in (Client, AsyncClient):
        for url, trusted in ((URL, False), ("http://127.0.0.1:8001", True)):
            assert proxied(kind(url)._http) is trusted
        assert proxied(kind(URL, "given")._http)


def test_it_is_gone_with_the_service(settings: LocalSettings) -> None:
    with registered(URL, token_file(settings)):
        assert found_token(URL)
    assert found_token(URL) is None
    assert not list((state_folder() / FOLDER).iterdir())


HOLDER = """
import sys, time
from pathlib import Path
from dspy_service_local.up.own_token import registered
with registered(sys.argv[1], Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_of_a_killed_service_is_sent_to_nobody_and_taken_over_by_the_next(settings: LocalSettings) -> None:
    command = [sys.executable, "-c", HOLDER, URL, str(token_file(settings))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert found_token(URL) == secret(settings)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    wait_for(lambda: found_token(URL) is None, what="the lock of a dead process to be gone")
    assert (state_folder() / FOLDER / file_name(URL)).exists()
    with registered(URL, token_file(settings)):
        assert found_token(URL) == secret(settings)


def test_what_others_may_have_written_or_can_read_is_not_believed(living: LocalSettings) -> None:
    for path in (state_folder() / FOLDER / file_name(URL), token_file(living)):
        path.chmod(0o644)
        assert found_token(URL) is None
        path.chmod(0o600)
        assert found_token(URL)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"url": 5, "token_file": 5}', b"[" * 8000])
def test_a_spoilt_registration_is_none(living: LocalSettings, content: bytes) -> None:
    (state_folder() / FOLDER / file_name(URL)).write_bytes(content)
    assert found_token(URL) is None


def test_the_registration_names_the_token_and_does_not_hold_it(living: LocalSettings) -> None:
    for path in state_folder().rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        assert path.is_dir() or secret(living) not in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--token"], {"own_token": True}),
        (["--token", "--concurrency", "1"], {"own_token": True, "concurrency": 1}),
        (["--token", "mine"], {"token": "mine"}),
        ([], {}),
    ],
)
def test_the_option_takes_a_value_or_none(arguments: list[str], told: dict[str, object]) -> None:
    given: list[dict[str, object]] = []
    parse = click.Command("up", params=up.command.params, callback=lambda **o: given.append(up.given_settings(o)))
    assert CliRunner().invoke(parse, arguments).exit_code == 0
    assert given == [told]


@pytest.mark.parametrize("mode", ["none", "kubernetes"])
def test_a_mode_that_would_not_ask_for_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("DSPY_SERVICE_AUTH_MODE", mode)
    result = CliRunner().invoke(up.command, ["--token", "--port", "0", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "DSPY_SERVICE_AUTH_MODE" in result.output
