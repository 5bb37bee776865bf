"""Where a live object has its name, and the text of that module: of its file, or of the cells of a notebook."""

import ast
import functools
import inspect
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from dspy_service.sources.module_text import ModuleText, read_module

_RUN_CELL = "run_cell_magic"
_TRANSPARENT = frozenset({"time", "capture", "prun", "memray"})
"""Cell magics that run their cell in the notebook's own names."""


def homes_of(thing: Any) -> Iterator[tuple[ModuleType, str]]:
    """Modules, and its name there: a partial or an instance is of its class's module, and named in another."""
    own = sys.modules.get(getattr(thing, "__module__", None) or "")
    for module in [own] if own else []:
        if name := name_in(module, thing):
            yield module, name
    for module in list(sys.modules.values()):
        is_other = isinstance(module, ModuleType) and module is not own and not is_installed(module)
        if is_other and (name := name_in(module, thing)):
            yield module, name


def name_in(module: ModuleType, thing: Any) -> str | None:
    """The shell's own names for outputs and cells (`_`, `_3`) are none."""
    names = [name for name, value in list(vars(module).items()) if value is thing and name.strip("_0123456789i")]
    own = getattr(thing, "__name__", None)
    return own if own in names else next(iter(names), None)


def text_of(module: ModuleType) -> ModuleText | None:
    text, latest = _text(module)
    return _read(text, latest=latest) if text else None


_read = functools.lru_cache(maxsize=16)(read_module)
"""Program and metric have most often the same home: its statements are then the same objects."""


def _text(module: ModuleType) -> tuple[str, bool]:
    """And whether parts of it were written over, as the cells of a notebook are, which IPython remembers."""
    cells = vars(module).get("In")
    if isinstance(cells, list) and "get_ipython" in vars(module):
        return "\n".join(part for cell in cells for part in _parts(cell)), True
    try:
        return inspect.getsource(module), False
    except (OSError, TypeError):
        return "", False


def _parts(cell: str) -> Iterator[str]:
    """The cell, or what stands below its `%%time`; nothing of one that is no Python."""
    try:
        statements = ast.parse(cell).body
    except (SyntaxError, ValueError):
        return
    match statements:
        case []:
            return
        case [ast.Expr(ast.Call(ast.Attribute(attr=attribute), [ast.Constant(name), _, ast.Constant(str(body))]))] if (
            attribute == _RUN_CELL
        ):
            if name in _TRANSPARENT:
                yield from _parts(body)
        case _:
            yield cell


def is_installed(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    return top in sys.stdlib_module_names or is_installed_file(getattr(module, "__file__", None) or "")


def is_installed_file(file: str) -> bool:
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts or any(file.startswith(f) for f in _library_folders())


@functools.cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], site.getusersitepackages()}
    return tuple(f"{folder}/" for folder in folders)
