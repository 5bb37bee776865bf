"""The clean process of `rebuilding.Rebuilder`: it reads requests, and forks a process for each."""

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import dspy


def main() -> None:
    assert not any(name.startswith("dspy_service") for name in sys.modules)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            os.write(writing, json.dumps(error_of(json.loads(line))).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            print(told.read() or json.dumps("the process died"), file=answers)
        os.waitpid(pid, 0)


def error_of(request: dict[str, Any]) -> str:
    try:
        rebuilt(Path(request["folder"]), request["url"], request["rows"])
    except BaseException:
        return traceback.format_exc()
    return ""


def rebuilt(folder: Path, url: str, rows: list[dict[str, Any]]) -> None:
    lm = dspy.LM("openai/scripted", api_base=url, api_key="x", cache=False)
    dspy.configure(lm=lm, interpreter_factory=dspy.LocalInterpreter)
    models = {"default": lm, "reflection": lm}
    embedder = None
    if (folder / "knn.json").exists():
        settings = json.loads((folder / "knn.json").read_text())["vectorizer"]
        embedder = dspy.Embedder(**settings, api_key="x", caching=False)
    program = loader(folder).load_program(folder, run_code=True, models=models, embedder=embedder)
    if not hasattr(type(program), "forward"):
        program = dspy.syncify(program)
    for inputs in rows:
        program(**inputs)


def loader(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
