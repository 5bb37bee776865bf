"""The peers of a job's search: the same DSPy work with no service around it, with a fixed number of threads.

Baseline on the test rows, the optimizer, the score after it; each in a process of its own, timed from when dspy is
there. What DSPy counts as a row of score 0 because its model call failed is lost.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVALUATE = "evaluate"


@dataclass(frozen=True)
class Search:
    """An optimizer and its arguments, as a job names them; `evaluate` scores all rows, and that is all."""

    optimizer: str
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Course:
    seconds: float
    lost: int


def bare(search: Search, work: Path, url: str, threads: int) -> Course:
    """`work`: the folder with a job's code and rows (`searches.py`)."""
    command = [sys.executable, __file__, search.optimizer, json.dumps(search.kwargs), str(work), url, str(threads)]
    with tempfile.TemporaryDirectory(prefix="bare-search-") as folder:
        environment = os.environ | {"DSPY_CACHEDIR": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the bare search failed: {done.stderr[-800:]}")
    return Course(**json.loads(done.stdout.splitlines()[-1]))


def _search(optimizer: str, kwargs: dict[str, Any], work: Path, url: str, threads: int) -> Course:
    import dspy  # only the measured processes carry it
    from dspy.utils.callback import BaseCallback  # as above

    class Lost(BaseCallback):  # type: ignore[misc]  # dspy is untyped
        calls = 0

        def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
            Lost.calls += exception is not None

    began = time.perf_counter()
    namespace: dict[str, Any] = {"dspy": dspy}
    exec(compile((work / "code.py").read_text(), "<bench>", "exec"), namespace)
    parts: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
    for line in (work / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        parts[row.pop("part")].append(dspy.Example(row).with_inputs("text"))
    lm = dspy.LM("openai/scripted", api_base=url, api_key="bench", temperature=0.1)
    dspy.configure(lm=lm, num_threads=threads, callbacks=[Lost()], max_errors=10**6)
    dspy.configure_cache(enable_disk_cache=False)
    evaluate = dspy.Evaluate(devset=parts["test"], metric=namespace["metric"], num_threads=threads, max_errors=10**6)
    program = dspy.Predict(namespace["Ticket"])
    evaluate(program)
    if optimizer != EVALUATE:
        evaluate(_compiled(getattr(dspy, optimizer), kwargs, namespace["metric"], program, parts, lm, threads))
    return Course(time.perf_counter() - began, Lost.calls)


def _compiled(
    optimizer: Any, kwargs: dict[str, Any], metric: Any, program: Any, parts: dict[str, Any], lm: Any, threads: int
) -> Any:
    further = {"reflection_lm": lm} if optimizer.__name__ == "GEPA" else {}
    made = optimizer(metric=metric, num_threads=threads, **kwargs, **further)
    sets = {"trainset": parts["train"]} | ({} if optimizer.__name__ == "SIMBA" else {"valset": parts["val"]})
    return made.compile(program, **sets)


if __name__ == "__main__":
    _, name, arguments, folder, endpoint, number = sys.argv
    course = _search(name, json.loads(arguments), Path(folder), endpoint, int(number))
    print(json.dumps(vars(course)))
