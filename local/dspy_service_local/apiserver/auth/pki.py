"""The cluster's own CA, server certificate and administrator's token, made once and kept in `DIR/pki`."""

import secrets
from dataclasses import dataclass
from pathlib import Path

NAMES = ("127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class Pki:
    authority: Path
    """The CA's certificate, which clients trust."""
    certificate: Path
    """The server's certificate and key in one file."""
    admin_token: str


def ensure(folder: Path, names: tuple[str, ...] = NAMES) -> Pki:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, certificate, token = folder / "ca.crt", folder / "server.pem", folder / "admin.token"
    if not certificate.exists() or not authority.exists():
        _issue(authority, certificate, names)
    if not token.exists():
        _write_private(token, secrets.token_urlsafe(32).encode())
    return Pki(authority, certificate, token.read_text().strip())


def _issue(authority: Path, certificate: Path, names: tuple[str, ...]) -> None:
    """The CA's own key is not kept: a new server certificate comes with a new CA and a new kubeconfig."""
    import trustme  # here, because its cryptography costs 9 MB for as long as the process lives, and once is enough

    made = trustme.CA(organization_name="dspy-service", organization_unit_name="embedded cluster")
    server = made.issue_cert(*names, common_name="dspy-service")
    _write_private(authority, made.cert_pem.bytes())
    pem = server.private_key_pem.bytes() + b"".join(blob.bytes() for blob in server.cert_chain_pems)
    _write_private(certificate, pem)


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and readable by the owner alone."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    draft.replace(path)
