"""Builds a program anew from its artifact: from its source, arguments and state, without a pickle.

It needs dspy alone, so a copy of this file lies in each downloaded artifact as `load.py`:

    from load import load_program
    program = load_program(".", run_code=True)

This runs what the job's submitter wrote, as you: read `source/` first, and `joined/` where there is one.
"""

import builtins
import contextlib
import functools
import importlib
import importlib.util
import itertools
import json
import os
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

SIGNATURE, PROGRAM = "user_signature", "user_program"
JOINED = "joined.json"
"""What an ensemble joined; the sources of its programs lie in `joined/0`, `joined/1` and so on."""


def load_program(
    directory: str | Path,
    *,
    run_code: bool = False,
    models: Mapping[str, Any] | None = None,
    embedder: Any = None,
) -> Any:
    """`models`: what the program's code finds as `models["judge"]`, where it asks for that. `embedder`: for a program
    of KNNFewShot, in the place of the job's own."""
    if not run_code:
        raise ValueError("loading a program runs its submitter's code, as you: run_code=True if you trust it")
    folder = Path(directory).resolve()
    names = {"dspy": importlib.import_module("dspy"), "models": dict(models or {})}
    if (folder / JOINED).exists():
        program = _joined(folder, _read(folder, JOINED), names)
    else:
        arguments, source = _read(folder, "arguments.json"), folder / "source"
        with _below(source, names):
            program = _built(source, {"ran": _ran(folder), **arguments}, names)
    _load_state(program, _read(folder, "program.json"))
    looked_up = folder / "knn.json"
    return _nearest(program, _read(folder, looked_up.name), embedder) if looked_up.exists() else program


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _ran(folder: Path) -> str | None:
    """Which class the service ran, where it found that by itself."""
    told = _read(folder, "metadata.json") if (folder / "metadata.json").exists() else None
    return told.get("signature") if isinstance(told, dict) else None


def _joined(folder: Path, told: Mapping[str, Any], names: dict[str, Any]) -> Any:
    """Each of its programs from its own sources, beside each other."""
    dspy, programs, kwargs = names["dspy"], [], told["kwargs"]
    for number, each in enumerate(told["programs"]):
        source = folder / "joined" / str(number)
        package = next(name for name in map("joined_{}".format, itertools.count()) if name not in sys.modules)
        imports = OwnImports(package, source, names)
        with _working_in(source):
            programs.append(_built(source, {"ran": None, **each["arguments"]}, imports.names, f"{package}."))
    reduce_fn = kwargs.get("reduce_fn")
    field = reduce_fn.get("field") if isinstance(reduce_fn, dict) else None
    majority = functools.partial(dspy.majority, normalize=counted_as, field=field)
    return dspy.Ensemble(reduce_fn=majority, size=kwargs.get("size")).compile(programs)


def counted_as(value: Any) -> str | None:
    """Text as dspy counts it, whatever its case, signs and articles. Where nothing is left so, as of "A" among the
    answers A to D, dspy would not count it, and it fails on what is no text: these are counted as they are. An empty
    answer is None, which is not counted where there is any other."""
    if value is None:
        return None
    default_normalize = importlib.import_module("dspy.predict.aggregation").default_normalize
    if not isinstance(value, str):
        return repr(value)
    return str(default_normalize(value) or value.strip().casefold()) or None


def _built(source: Path, arguments: Mapping[str, Any], names: dict[str, Any], prefix: str = "") -> Any:
    dspy = names["dspy"]
    code = [name for name in (SIGNATURE, PROGRAM) if (source / f"{name}.py").exists()]
    module = types.ModuleType("nothing")
    for name in code:
        module = _run(source, name, names, prefix)
        names = names | {each: value for each, value in vars(module).items() if not each.startswith("__")}
    kwargs, ran = arguments["kwargs"], arguments["ran"]
    if PROGRAM in code:
        return _class(module, dspy.Module, arguments["class"] or ran)(**kwargs)
    return _of_dspy(arguments["module"])(_class(module, dspy.Signature, ran), **kwargs)


def _run(source: Path, name: str, names: Mapping[str, Any], prefix: str) -> types.ModuleType:
    """A module of its own, because pickles, postponed annotations and some optimizers look for it by its name."""
    place = importlib.util.spec_from_file_location(
        f"{prefix}{name}", source / f"{name}.py", submodule_search_locations=[str(source)]
    )
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    vars(module).update(names)
    sys.modules[place.name] = module
    place.loader.exec_module(module)
    return module


def _class(module: types.ModuleType, kind: type, name: str | None) -> Any:
    """The one that the service took: of this name, or the only one there that no other derives from."""
    if name and isinstance(getattr(module, name, None), type):
        return getattr(module, name)
    own = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, kind)]
    own = [each for each in own if each.__module__ in (module.__name__, "dspy.signatures.signature")]
    leaves = {each for each in own if not any(other is not each and issubclass(other, each) for other in own)}
    if len(leaves) != 1:
        raise ValueError(f"{module.__name__} defines {len(leaves)} classes that may be meant")
    return leaves.pop()


def _of_dspy(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def _below(source: Path, names: Mapping[str, Any]) -> Iterator[None]:
    """As in the service: modules and files are found in the program's own folder, modules see these names, and nothing
    is written there. Modules are found there later, too: a program may import at its first call."""
    sys.path_hooks.insert(0, _finder(source, names))
    sys.path.insert(0, str(source))
    with _working_in(source):
        yield


@contextlib.contextmanager
def _working_in(source: Path) -> Iterator[None]:
    before, writes_none = Path.cwd(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    os.chdir(source)
    try:
        yield
    finally:
        os.chdir(before)
        sys.dont_write_bytecode = writes_none


def _finder(source: Path, names: Mapping[str, Any]) -> Callable[[str], FileFinder]:
    def find(place: str) -> FileFinder:
        if not Path(place).is_relative_to(source):
            raise ImportError(place)
        return FileFinder(place, (_loader(names), [".py"]))

    return find


def _loader(names: Mapping[str, Any]) -> Any:
    class Loader(SourceFileLoader):
        def exec_module(self, module: types.ModuleType) -> None:
            vars(module).update(names)
            super().exec_module(module)

        def set_data(self, path: str, data: Any, *, _mode: int = 0) -> None:
            """Keeps no bytecode, which would lie between the program's files."""

    return Loader


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


def _load_state(program: Any, state: dict[str, Any]) -> None:
    """DSPy itself would load a state of another program in part, and take away models that the program has chosen."""
    state.pop("metadata", None)
    given = {"self": state} if "signature" in state else state
    own = {name: predictor.signature.fields for name, predictor in program.named_predictors()}
    told = {name: each["signature"]["fields"] for name, each in given.items() if "signature" in each}
    if {name: len(fields) for name, fields in own.items()} != {name: len(fields) for name, fields in told.items()}:
        raise ValueError(f"the state is of a program with the predictors {sorted(told)}, this one has {sorted(own)}")
    models = {name: predictor.lm for name, predictor in program.named_predictors()}
    program.load_state(state)
    for name, predictor in program.named_predictors():
        predictor.lm = models[name]


def _nearest(program: Any, knn: Mapping[str, Any], embedder: Any) -> Any:
    """KNNFewShot leaves nothing in the state: the program looks its demos up at every call."""
    dspy: Any = importlib.import_module("dspy")
    rows = [dspy.Example(row).with_inputs(*knn["inputs"]) for row in knn["trainset"]]
    vectorizer = embedder or dspy.Embedder(**knn["vectorizer"])
    return dspy.KNNFewShot(knn["k"], rows, vectorizer, **knn["few_shot_bootstrap_args"]).compile(program)
