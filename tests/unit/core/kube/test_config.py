"""Kubeconfigs and service accounts: what is read, and what is refused with a sentence."""

import base64
from pathlib import Path

import pytest
import trustme
import yaml

from dspy_service_core.kube.config import ConfigError, TokenSource, from_kubeconfig, in_cluster


def kubeconfig(tmp_path: Path, user: dict[str, object], **cluster: object) -> Path:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def authority() -> str:
    return base64.b64encode(trustme.CA().cert_pem.bytes()).decode()


def test_a_kubeconfig_gives_server_token_and_namespace(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t0"}, **{"certificate-authority-data": authority()})
    config = from_kubeconfig(path)
    assert (config.server, config.namespace) == ("https://127.0.0.1:6443", "team")
    assert config.tokens.header() == {"Authorization": "Bearer t0"}
    assert config.ssl_context is not None


def test_only_the_named_authority_is_trusted(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {}, **{"certificate-authority-data": authority()})
    context = from_kubeconfig(path).ssl_context
    assert context is not None
    assert len(context.get_ca_certs()) == 1


def test_a_plain_server_needs_no_tls(tmp_path: Path) -> None:
    assert from_kubeconfig(kubeconfig(tmp_path, {}, server="http://127.0.0.1:1")).ssl_context is None


@pytest.mark.parametrize(
    ("user", "words"),
    [({"exec": {"command": "x"}}, "exec plugins"), ({"auth-provider": {}}, "auth providers")],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, user: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_kubeconfig(kubeconfig(tmp_path, user))


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        from_kubeconfig(tmp_path / "absent")
    broken = tmp_path / "broken"
    broken.write_text("current-context: nowhere\ncontexts: []\n")
    with pytest.raises(ConfigError, match="broken"):
        from_kubeconfig(broken)


def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    source = TokenSource(path=path)
    assert source.header() == {"Authorization": "Bearer first"}
    path.write_text("second\n")
    assert source.header() == {"Authorization": "Bearer first"}
    source._read_at = -1000.0
    assert source.header() == {"Authorization": "Bearer second"}


def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("pod-token")
    (tmp_path / "namespace").write_text("jobs")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    config = in_cluster(tmp_path)
    assert (config.server, config.namespace) == ("https://[fd00::1]:443", "jobs")
    assert config.tokens.header() == {"Authorization": "Bearer pod-token"}
