"""Runs one of the service's own commands as a child of `up` that ends with `up`, however that ends.

`up` holds the other end of this process's standard input open; its end of file is the sign. That works on every system
and, unlike a parent-death signal, does not depend on the thread that started the child.
"""

import importlib
import os
import sys
import threading

_ORPHANED = 70


def main() -> None:
    entry, name = sys.argv[1], sys.argv[2]
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    sys.argv = [name]
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)())


def _end_with_parent() -> None:
    while os.read(0, 1024):
        continue
    os._exit(_ORPHANED)


if __name__ == "__main__":
    main()
