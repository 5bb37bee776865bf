"""`dspy-service-catalogue`: writes down what classes take, so that the API can check a job without importing them.

Without arguments it describes the installed dspy, for the catalogue that core ships (`--check`, `--write`). With dotted
paths it describes your own modules and optimizers, and has to run where they are installed, in the runner's image:

    dspy-service-catalogue acme.optimizers.Annealer --output acme-catalogue.json
"""

import argparse
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import mipro_optimizer_v2 as mipro
from dspy.teleprompt.gepa import gepa
from dspy.teleprompt.teleprompt import Teleprompter

from dspy_service_core.registry import catalogue
from dspy_service_core.registry.catalogue import AutoRun, Callee, Catalogue, ModuleAsset, OptimizerAsset, Tables
from dspy_service_runner.introspect.callables import callee

BUNDLED = Path(catalogue.__file__).with_name("catalogue.json")
README_PATHS = {
    "dspy.ChainOfThought": "dspy.modules.ChainOfThought",
    "dspy.Predict": "dspy.modules.Predict",
}
"""Paths that the README of the original service shows, and that do not exist in DSPy."""
_EXAMPLE: Mapping[str, Any] = {"signature": "question -> answer", "tools": []}
"""Arguments of modules, to count their predictors."""


PASSED_ON = {dspy.KNNFewShot: dspy.BootstrapFewShot}
"""Optimizers whose `**kwargs` go to another optimizer, which is none of their base classes."""
HANDED_ON = (dspy.BootstrapFewShotWithRandomSearch, dspy.BootstrapFewShotWithOptuna, dspy.MIPROv2)
"""Optimizers without a word on their arguments. Those that dspy.BootstrapFewShot has as well, they give to one."""


def of_dspy() -> Catalogue:
    found = list(_public_classes())
    return Catalogue(
        source=f"dspy {version('dspy')}",
        modules=_sorted(_module(cls, paths) for cls, paths in found if _is_module(cls)),
        optimizers=_sorted(_optimizer(cls, paths) for cls, paths in found if _is_optimizer(cls)),
        tables=tables(),
    )


def tables() -> Tables:
    budget = inspect.signature(dspy.GEPA.auto_budget).parameters
    return Tables(
        mipro_auto=_auto_runs(mipro.AUTO_RUN_SETTINGS),
        mipro_min_minibatch_size=mipro.MIN_MINIBATCH_SIZE,
        mipro_zero_shot_demos=mipro.BOOTSTRAPPED_FEWSHOT_EXAMPLES_IN_CONTEXT,
        gepa_auto=_auto_runs(gepa.AUTO_RUN_SETTINGS),
        gepa_minibatch_size=budget["minibatch_size"].default,
        gepa_full_eval_steps=budget["full_eval_steps"].default,
    )


def _auto_runs(settings: Mapping[str, Any]) -> dict[str, AutoRun]:
    return {name: AutoRun.model_validate(run) for name, run in settings.items()}


def of_paths(paths: Iterable[str]) -> Catalogue:
    found = [(_load(path), [path]) for path in paths]
    for cls, (path,) in found:
        if not (_is_module(cls) or _is_optimizer(cls)):
            raise SystemExit(f"{path} is neither a dspy.Module with a forward nor an optimizer with a compile.")
    return Catalogue(
        source=", ".join(sorted({path.partition(".")[0] for _, (path,) in found})),
        modules=_sorted(_module(cls, paths) for cls, paths in found if _is_module(cls)),
        optimizers=_sorted(_optimizer(cls, paths) for cls, paths in found if _is_optimizer(cls)),
    )


def rendered(catalogue: Catalogue) -> str:
    return json.dumps(catalogue.model_dump(mode="json", exclude_defaults=True), indent=1, ensure_ascii=False) + "\n"


def _public_classes() -> Iterator[tuple[type, list[str]]]:
    """Each class with all paths under which `import dspy` exposes it, the shortest first."""
    paths: dict[type, list[str]] = {}
    for module_name, module in sorted(sys.modules.items()):
        if module is None or not _is_public(module_name):
            continue
        for name, value in sorted(vars(module).items()):
            if inspect.isclass(value) and not name.startswith("_") and value.__module__.startswith("dspy."):
                paths.setdefault(value, []).append(f"{module_name}.{name}")
    for cls, found in paths.items():
        if shown := [path for path in found if path in README_PATHS]:
            found.append(README_PATHS[shown[0]])
        yield cls, sorted(found, key=lambda path: (path.count("."), path.rpartition(".")[2] != cls.__name__, path))


def _is_public(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "dspy" and not any(part.startswith("_") for part in parts)


def _is_module(cls: type) -> bool:
    return issubclass(cls, dspy.Module) and (hasattr(cls, "forward") or hasattr(cls, "aforward"))


def _is_optimizer(cls: Any) -> bool:
    return issubclass(cls, Teleprompter) and cls.compile is not Teleprompter.compile


def _module(cls: type, paths: list[str]) -> ModuleAsset:
    init = _init(cls)
    return ModuleAsset(path=paths[0], paths=tuple(paths), init=init, predictors=_predictors(cls, init))


def _predictors(cls: Any, init: Callee) -> int | None:
    """Tried with a signature of two fields, and no tools. None for dspy.Flex too, whose parameter is code."""
    needed = {parameter.name for parameter in init.parameters if parameter.required}
    if "signature" not in needed or not needed <= _EXAMPLE.keys():
        return None
    try:
        return len(cls(**{name: _EXAMPLE[name] for name in needed}).named_predictors()) or None
    except AttributeError:  # of dspy 3.4.1's Avatar, which needs what dspy has no more
        return None


def _optimizer(cls: Any, paths: list[str]) -> OptimizerAsset:
    return OptimizerAsset(path=paths[0], paths=tuple(paths), init=_init(cls), compile=callee(cls.compile))


def _init(cls: Any) -> Callee:
    """The constructor's parameters, and those of the constructor to which it passes `**kwargs` on: the base class's,
    or another optimizer's."""
    handed_on = [dspy.BootstrapFewShot.__init__.__doc__] if cls in HANDED_ON else []
    own = callee(cls.__init__, cls.__doc__, *handed_on)
    if cls is dspy.BetterTogether:  # its `**kwargs` are optimizers, which a job gives by name
        return own.model_copy(update={"further": True})
    if not own.further:
        return own
    inherited = PASSED_ON.get(cls) or next((base for base in cls.__mro__[1:] if "__init__" in vars(base)), object)
    if not issubclass(inherited, Teleprompter) or inherited is Teleprompter:
        return own
    passed_on = _init(inherited)
    known = own.names()
    return Callee(
        parameters=own.parameters + tuple(p for p in passed_on.parameters if p.name not in known),
        further=passed_on.further,
    )


def _sorted(assets: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(assets, key=lambda asset: asset.path))


def _load(path: str) -> type:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise SystemExit(f"{path} cannot be imported: {exc}") from exc
    if not inspect.isclass(found):
        raise SystemExit(f"{path} is not a class.")
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="dspy-service-catalogue", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="dotted paths of your own modules and optimizers")
    parser.add_argument("--output", type=Path, help="file to write, or to check; the bundled catalogue for dspy itself")
    parser.add_argument("--write", action="store_true", help="write the file")
    parser.add_argument("--check", action="store_true", help="fail when the file is not what would be written")
    options = parser.parse_args(argv)
    text = rendered(of_paths(options.paths) if options.paths else of_dspy())
    output: Path | None = options.output or (None if options.paths else BUNDLED)
    if options.check:
        _check(text, output)
    elif output and (options.write or options.output):
        output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _check(text: str, output: Path | None) -> None:
    if output is None:
        raise SystemExit("--check needs --output.")
    if not output.is_file() or output.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{output} is stale; run dspy-service-catalogue with --write.")


if __name__ == "__main__":
    main()
