"""A program's own folder: its code and files are importable and readable below it, and nobody writes there.

It is a folder of the attempt, made from what was submitted. Python looks for modules there before all else, as it does
in a script's folder, and the working directory is there, so that `open("data/terms.csv")` finds what came with the
program.
"""

import functools
import importlib
import os
import sys
import types
from collections.abc import Callable, Mapping
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

_READ_ONLY_FILE = 0o444
_READ_ONLY_FOLDER = 0o555


def lay_out(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode(errors="surrogatepass"))
    for path_below in (folder, *folder.rglob("*")):
        path_below.chmod(_READ_ONLY_FOLDER if path_below.is_dir() else _READ_ONLY_FILE)


def work_in(folder: Path, names: Mapping[str, Any]) -> None:
    """From now on modules are found there, each with these names among its globals; and files are."""
    sys.path_hooks.insert(0, _finder(folder, names))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    os.chdir(folder)


def importable(folder: Path) -> set[str]:
    """The names under which something is imported from there."""
    return {path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")}


def modules_below(folder: Path) -> list[types.ModuleType]:
    """What has been imported from there so far."""
    found = [(module, getattr(module, "__file__", None)) for module in list(sys.modules.values())]
    return [module for module, file in found if isinstance(file, str) and Path(file).is_relative_to(folder)]


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, *, names: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._names = names

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update(self._names)
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0) -> None:
        """Keeps no bytecode, which would lie between the program's files."""


def _finder(folder: Path, names: Mapping[str, Any]) -> Callable[[str], FileFinder]:
    loader: Any = functools.partial(_Loader, names=names)

    def find_below(path: str) -> FileFinder:
        if not Path(path).is_relative_to(folder):
            raise ImportError(f"{path} is not in the program's folder")
        return FileFinder(path, (loader, [".py"]))

    return find_below
