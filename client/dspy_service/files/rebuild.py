"""Builds a program anew from its artifact: from its source, arguments and state, without a pickle.

It needs dspy alone, so a copy of this file lies in each downloaded artifact as `load.py`:

    from load import load_program
    program = load_program(".", run_code=True)

This runs what the job's submitter wrote, as you: read `source/` first.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

SIGNATURE, PROGRAM = "user_signature", "user_program"


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
    arguments, source = _read(folder, "arguments.json"), folder / "source"
    names = {"dspy": importlib.import_module("dspy"), "models": dict(models or {})}
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


def _built(source: Path, arguments: Mapping[str, Any], names: dict[str, Any]) -> Any:
    dspy = names["dspy"]
    code = [name for name in (SIGNATURE, PROGRAM) if (source / f"{name}.py").exists()]
    module = types.ModuleType("nothing")
    for name in code:
        module = _run(source, name, names)
        names = names | {each: value for each, value in vars(module).items() if not each.startswith("__")}
    kwargs, ran = arguments["kwargs"], arguments["ran"]
    if PROGRAM in code:
        return _class(module, dspy.Module, arguments["class"] or ran)(**kwargs)
    return _of_dspy(arguments["module"])(_class(module, dspy.Signature, ran), **kwargs)


def _run(source: Path, name: str, names: Mapping[str, Any]) -> types.ModuleType:
    """A module of its own, because pickles, postponed annotations and some optimizers look for it by its name."""
    place = importlib.util.spec_from_file_location(
        name, source / f"{name}.py", submodule_search_locations=[str(source)]
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
    before, writes_none = Path.cwd(), sys.dont_write_bytecode
    sys.path_hooks.insert(0, _finder(source, names))
    sys.path.insert(0, str(source))
    sys.dont_write_bytecode = True
    os.chdir(source)
    try:
        yield
    finally:
        os.chdir(before)
        sys.dont_write_bytecode = writes_none


def _finder(source: Path, names: Mapping[str, Any]) -> Callable[[str], FileFinder]:
    class Loader(SourceFileLoader):
        def exec_module(self, module: types.ModuleType) -> None:
            vars(module).update(names)
            super().exec_module(module)

    def find(place: str) -> FileFinder:
        if not Path(place).is_relative_to(source):
            raise ImportError(place)
        return FileFinder(place, (Loader, [".py"]))

    return find


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
