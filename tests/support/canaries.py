"""Keys that a test hands to a service, looked for where none of them may ever be."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from live_files import content, files_below


def kept_files(data_dir: Path) -> Iterator[Path]:
    """What a service keeps in its folder: the store, logs, pods' volumes. Its cluster's database holds the Secrets."""
    return (path for path in files_below(data_dir) if not path.name.startswith("cluster.db"))


def tells(text: bytes, canaries: Iterable[str]) -> bool:
    return any(canary.encode() in text for canary in canaries)


def telling_files(data_dir: Path, canaries: Iterable[str]) -> list[Path]:
    wanted = tuple(canaries)
    return [path for path in kept_files(data_dir) if tells(content(path), wanted)]
