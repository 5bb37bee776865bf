"""What of this machine every container may read: the interpreter, the system's libraries, our own runner's source.

Nothing else is visible: not the data folder, other pods, the kubeconfig or anyone's home.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from dspy_service_local.node.processes.launch import Bind

_SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "hosts",
    "ld.so.cache",
    "localtime",
    "nsswitch.conf",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "resolv.conf",
    "ssl/certs",
    "ssl/cert.pem",
    "ssl/openssl.cnf",
)
"""Name resolution and certificates. Not /etc/ssl as a whole: root could read its private keys."""
_RUNNER_PACKAGES = ("dspy_service_core", "dspy_service_runner")
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def visible_paths(environment: Mapping[str, str], extra: Iterable[Path] = ()) -> list[Bind]:
    """`environment` is what containers inherit: certificate files that it names must be readable too."""
    places = [Path("/usr"), Path(sys.prefix), Path(sys.base_prefix), *_sources(), *extra]
    places += [Path(environment[name]) for name in _CERTIFICATE_VARIABLES if environment.get(name)]
    binds = [Bind(place.resolve(), str(place), True) for place in places if place.exists()]
    binds += [Bind((Path("/etc") / name).resolve(), f"/etc/{name}", True) for name in _ETC if _in_etc(name)]
    return _without_nested(binds)


def system_links() -> dict[str, str]:
    """/bin, /lib, ... by their targets: links into /usr on most systems, folders of their own ("") on others."""
    places = [Path("/") / name for name in _SYSTEM_LINKS if (Path("/") / name).exists()]
    return {str(place): os.readlink(place) if place.is_symlink() else "" for place in places}


def _in_etc(name: str) -> bool:
    return (Path("/etc") / name).exists()


def _sources() -> list[Path]:
    """Folders of our own packages; outside of the prefix only in an editable install."""
    specs = (importlib.util.find_spec(name) for name in _RUNNER_PACKAGES)
    return [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]


def _without_nested(binds: list[Bind]) -> list[Bind]:
    """A read-only folder shows what is below it already; binding it again would need a mount point inside it."""
    kept: list[Bind] = []
    for bind in sorted(binds, key=lambda b: len(b.target)):
        if not any(Path(bind.target).is_relative_to(known.target) for known in kept):
            kept.append(bind)
    return kept
