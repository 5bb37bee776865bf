"""The data folder is its owner's alone: the database in it holds keys, and the store what people have sent.

Modes are set at every start, not only when the folder is made: it may be older than this rule, or come from a backup or
an archive that was unpacked under another umask. What others have put into it is never followed out of it.
"""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

UMASK = 0o077
OURS = frozenset(
    (
        *("cluster.db", "cluster.db-shm", "cluster.db-wal", "cluster.lock", "kubeconfig"),
        *("logs", "networks", "pki", "pods", "volumes"),
    )
)
"""What the service writes there, but for the token: one that others could read is replaced, not closed
(`own_token.py`). All else may be somebody's home, and keeps its modes below the closed folder.
"""
_OWNER = 0o700


class FolderOfAnother(Exception):
    """For the user, in one line."""


def take(folder: Path) -> None:
    """Makes the folder where there is none, and closes it and all of ours that is in it to everybody else.

    Nothing is looked for in a folder that was closed already: nobody else has got, or gets, into it, whatever the modes
    of what is there; and a store has a hundred thousand files.
    """
    folder.mkdir(mode=_OWNER, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_owner(folder, os.fstat(descriptor).st_uid)
        for place, folders, names, inner in os.fwalk(".", dir_fd=descriptor):
            was_open = _close(inner)
            if place == ".":
                folders[:], names = _ours(folders), _ours(names)
            elif not was_open:
                folders.clear()
                continue
            for name in names:
                _close_file(name, inner)
    finally:
        os.close(descriptor)


def _ours(names: list[str]) -> list[str]:
    return [name for name in names if name in OURS]


def _check_owner(folder: Path, owner: int) -> None:
    if owner != os.geteuid():
        raise FolderOfAnother(
            f"{folder} belongs to {_name(owner)}, who could read and change what is kept there: "
            "start as that user, or give a folder of your own by --data-dir"
        )


def _close_file(name: str, folder: int) -> None:
    """What cannot be opened or changed is left as it is: a link, a socket, another user's. The folder is closed."""
    with suppress(OSError):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or not _is_open(found.st_mode):
            return
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            _close(file)
        finally:
            os.close(file)


def _close(descriptor: int) -> bool:
    """Whether it was open until now."""
    mode = os.fstat(descriptor).st_mode
    if _is_open(mode):
        with suppress(PermissionError):
            os.fchmod(descriptor, mode & _OWNER)
        return True
    return False


def _is_open(mode: int) -> bool:
    """To others; to run as the owner counts as that."""
    return bool(stat.S_IMODE(mode) & ~_OWNER)


def _name(user: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return f"user {user}"
