"""The kubeconfig through which kubectl, the API and the operator reach the embedded cluster."""

import base64
import json
from pathlib import Path

_NAME = "dspy-service"


def write(path: Path, *, server: str, authority: Path, token: str, namespace: str = "default") -> None:
    """JSON, which is YAML too. Readable by the owner alone: the token is the administrator's."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": _NAME,
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": namespace}}],
    }
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(path)
