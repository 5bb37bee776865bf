"""kopf without the Kubernetes client libraries, which it imports wherever they are installed: to log in by their
configuration, and to know their objects. Our login is our own, and nobody gives it such objects; they would only take
10 MB for as long as the operator runs."""

import sys

_UNUSED = [name for name in ("kubernetes", "kubernetes_asyncio", "pykube") if name not in sys.modules]

sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]  # None: importing it fails, as if it were not there
try:
    import kopf as kopf
finally:
    for _name in _UNUSED:
        del sys.modules[_name]
