"""Several programs in one process, each with files of its own: what the code of one imports is never another's.

The Python client's `rebuild.py` has the same class, because it works where only dspy is installed; a test holds both to
be the same.
"""

import builtins
import importlib
import sys
import types
from collections.abc import Callable, Collection, Mapping
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any


class OwnImports:
    """One program's folder as a package of its own: `import helpers` in its code is `<package>.helpers`.

    So two programs may have files of the same name, and each module is known by a name of its own, as pickles,
    postponed annotations and data classes need. Its modules have an `__import__` of their own, also for what they
    import later."""

    def __init__(self, package: str, folder: Path, names: Mapping[str, Any], foreign: Collection[str] = ()) -> None:
        """`names`: further globals of each module. `foreign`: names of modules that can be found in this process, and
        that are none of this program's."""
        own = {path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")}
        self._package, self._own, self._foreign = package, own, frozenset(foreign) - own
        self._importlib = types.ModuleType("importlib")
        self._importlib.__getattr__ = lambda name: getattr(importlib, name)  # type: ignore[method-assign]
        self._importlib.import_module = self._import_module  # type: ignore[attr-defined]
        self.names = {**names, "__builtins__": {**vars(builtins), "__import__": self._import}}
        root = types.ModuleType(package)
        root.__path__ = [str(folder)]
        sys.modules[package] = root
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{self._package}."):
            return None
        loader: Any = _loader(self.names)
        found = (FileFinder(place, (loader, [".py"])).find_spec(name) for place in path or ())
        return next((spec for spec in found if spec is not None), None)

    def _import(
        self,
        name: str,
        globals: Any = None,  # noqa: A002  # Python's own names for them
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        if level or not self._is_own(name):
            found = builtins.__import__(name, globals, locals, fromlist, level)
            return self._importlib if found is importlib else found
        found = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist, 0)
        return found if fromlist else sys.modules[f"{self._package}.{name.partition('.')[0]}"]

    def _import_module(self, name: str, package: str | None = None) -> types.ModuleType:
        own = not name.startswith(".") and self._is_own(name)
        return importlib.import_module(f"{self._package}.{name}" if own else name, package)

    def _is_own(self, name: str) -> bool:
        top = name.partition(".")[0]
        if top in self._foreign:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return top in self._own


def _loader(names: Mapping[str, Any]) -> Callable[[str, str], SourceFileLoader]:
    class Loader(SourceFileLoader):
        def exec_module(self, module: types.ModuleType) -> None:
            vars(module).update(names)
            super().exec_module(module)

        def set_data(self, path: str, data: Any, *, _mode: int = 0) -> None:
            """Keeps no bytecode, which would lie between the program's files."""

    return Loader
