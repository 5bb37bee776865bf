"""The API server's address and our credentials, from a kubeconfig or from the pod's service account.

It supports what a Deployment and the embedded cluster need: tokens, token files, client certificates. Exec plugins and
auth providers are meant for people's own kubectl, and are refused with a message that says so.
"""

import base64
import os
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_REREAD_SECONDS = 60.0
"""Bound tokens are rotated by the kubelet at 80 % of their hour; client-go re-reads every minute as well."""


class ConfigError(Exception):
    """The kubeconfig or the service account cannot be used; the message names the file and the field."""


@dataclass
class TokenSource:
    """A fixed token, or a file that is read again every minute because it is rotated."""

    token: str = ""
    path: Path | None = None
    _read_at: float = field(default=0.0, repr=False)

    def header(self) -> dict[str, str]:
        if self.path is not None and time.monotonic() - self._read_at > _TOKEN_REREAD_SECONDS:
            self.token, self._read_at = self.path.read_text().strip(), time.monotonic()
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True)
class ClusterConfig:
    """`ssl_context` is None for a plain HTTP server."""

    server: str
    ssl_context: ssl.SSLContext | None
    tokens: TokenSource
    namespace: str = "default"


def load(kubeconfig: str | None = None) -> ClusterConfig:
    """The kubeconfig given, else $KUBECONFIG, else the pod's service account, else ~/.kube/config."""
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if path:
        return from_kubeconfig(Path(path))
    if (SERVICE_ACCOUNT / "token").exists():
        return in_cluster()
    return from_kubeconfig(Path.home() / ".kube" / "config")


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    except KeyError as exc:
        raise ConfigError(f"{exc.args[0]} is not set: not inside a cluster, and no kubeconfig was given") from exc
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ClusterConfig(
        server=f"https://{authority}",
        ssl_context=ssl.create_default_context(cafile=str(folder / "ca.crt")),
        tokens=TokenSource(path=folder / "token"),
        namespace=(folder / "namespace").read_text().strip(),
    )


def from_kubeconfig(path: Path) -> ClusterConfig:
    try:
        document = yaml.safe_load(path.read_text())
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"]).get("user") or {}
        return ClusterConfig(
            server=str(cluster["server"]).rstrip("/"),
            ssl_context=_ssl_context(cluster, user, path),
            tokens=_tokens(user, path),
            namespace=context.get("namespace") or "default",
        )
    except OSError as exc:
        raise ConfigError(f"cannot read kubeconfig {path}: {exc.strerror}") from exc
    except (KeyError, TypeError, yaml.YAMLError) as exc:
        raise ConfigError(f"kubeconfig {path} is incomplete or malformed: {exc}") from exc


def _named(document: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for entry in document[section]:
        if entry["name"] == name:
            return dict(entry)
    raise KeyError(f"{section}[name={name}]")


def _tokens(user: dict[str, Any], path: Path) -> TokenSource:
    if "exec" in user or "auth-provider" in user:
        raise ConfigError(f"kubeconfig {path}: exec plugins and auth providers are not supported; use a token")
    if "tokenFile" in user:
        return TokenSource(path=path.parent / user["tokenFile"])
    return TokenSource(token=user.get("token", ""))


def _ssl_context(cluster: dict[str, Any], user: dict[str, Any], path: Path) -> ssl.SSLContext | None:
    if str(cluster["server"]).startswith("http://"):
        return None
    authority = _content(cluster, "certificate-authority", path)
    context = ssl.create_default_context(cadata=authority.decode()) if authority else ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate", path), _content(user, "client-key", path)
    if certificate and key:
        with NamedTemporaryFile() as pem:  # the ssl module loads chains from files alone
            pem.write(certificate + b"\n" + key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def _content(section: dict[str, Any], field_name: str, path: Path) -> bytes:
    """The content of a field that is given inline (`...-data`, base64) or as a path relative to the kubeconfig."""
    if data := section.get(f"{field_name}-data"):
        return base64.b64decode(data)
    if file := section.get(field_name):
        return (path.parent / str(file)).read_bytes()
    return b""
