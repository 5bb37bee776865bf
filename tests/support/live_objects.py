"""A user's module of some text, imported; and what a job makes of the request that is built of its objects."""

import importlib.util
import json
import linecache
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import dspy

MODELS = ("default", "reflection", "prompt", "task")


@contextmanager
def users_project(folder: Path, files: Mapping[str, str], main: str = "users_program") -> Iterator[ModuleType]:
    """A folder of modules from which `main` is imported, and which is forgotten afterwards."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(text))
    with imports_from(folder):
        yield importlib.import_module(main)


class Rebuilt:
    """The code of a payload, run as a job runs it, in modules of its own."""

    def __init__(self, payload: Mapping[str, Any], folder: Path) -> None:
        for path, text in payload.get("program_files", {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        names = [*MODELS, *payload.get("model_configs", {})]
        self.models = {name: dspy.LM(f"openai/{name}", api_key="none") for name in names}
        folder.mkdir(parents=True, exist_ok=True)
        with imports_from(folder):
            signature = self._run("user_signature", payload.get("signature_code"), {})
            code = self._run("user_program", payload.get("program_code"), signature)
            self.metric = self._run("user_metric", payload["metric_code"], {})["metric"]
            kwargs = payload["module_kwargs"]
            if payload.get("program_code"):
                self.program = code[payload["module_name"]](**kwargs)
            else:
                module = {"predict": dspy.Predict, "cot": dspy.ChainOfThought}[payload["module_name"]]
                self.program = module(_only_signature(signature), **kwargs)
        if state := payload.get("initial", {}).get("program_state"):
            self.program.load_state(state)

    def _run(self, name: str, code: str | None, visible: Mapping[str, Any]) -> dict[str, Any]:
        if code is None:
            return {}
        module = ModuleType(name)
        module.__dict__.update(visible)
        module.__dict__.update(dspy=dspy, models=self.models, __name__=name)
        sys.modules[name] = module
        linecache.cache[f"<{name}>"] = (len(code), None, code.splitlines(keepends=True), f"<{name}>")
        module.__file__ = f"<{name}>"
        exec(compile(code, f"<{name}>", "exec"), module.__dict__)
        return module.__dict__


def prompts(program: Any) -> dict[str, str]:
    """What every predictor would send, byte for byte."""
    return {
        name: json.dumps(dspy.ChatAdapter().format(p.signature, p.demos, dict.fromkeys(p.signature.input_fields, "?")))
        for name, p in program.named_predictors()
    }


def _only_signature(module: Mapping[str, Any]) -> Any:
    own = ("user_signature", "dspy.signatures.signature")
    kinds = {
        v for v in module.values() if isinstance(v, type) and issubclass(v, dspy.Signature) and v.__module__ in own
    }
    (leaf,) = [k for k in kinds if not any(k is not other and issubclass(other, k) for other in kinds)]
    return leaf


@contextmanager
def imports_from(folder: Path) -> Iterator[None]:
    """Modules are found there, and those that were are forgotten afterwards."""
    if str(folder) in sys.path:
        yield
        return
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if name.startswith("user_") or (file and file.startswith(str(folder))):
                del sys.modules[name]
