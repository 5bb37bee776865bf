"""GEPA with a slow reflection model: four proposals a step, whose reflections wait beside each other, and one.

As many metric calls for both, and the same rows. The task's model takes 200 ms, the reflection model 3 s. A process of
the optimizer's runs it, with no service around.
"""

import tempfile
import time
from pathlib import Path

from measuring.figures import Figure
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

TASK, REFLECTION = 0.2, 3.0
METRIC_CALLS = 200
PROPOSALS = 4
AT_MOST = 0.7


def measure() -> list[Figure]:
    with OptimizerForge() as forge:
        alone, asked = _searched(forge, 1)
        together, asked_together = _searched(forge, PROPOSALS)
    peer = f"{AT_MOST} of one proposal a step, {asked} reflections; {asked_together} with {PROPOSALS}"
    what = f"GEPA, {METRIC_CALLS} metric calls, {PROPOSALS} proposals a step, reflections of {REFLECTION:g} s"
    return [Figure(what, together, "s", most=AT_MOST * alone, peer=peer)]


def _searched(forge: OptimizerForge, proposals: int) -> tuple[float, int]:
    """Seconds that the search took, without baseline and final score, and how often it reflected."""
    with ScriptedServer() as task, ScriptedServer() as reflection, tempfile.TemporaryDirectory() as folder:
        task.latency, reflection.latency = TASK, REFLECTION
        spec = make_spec(task.url)
        spec["models"]["reflection"] = {"name": "openai/scripted", "baseUrl": reflection.url}
        sampling = {"type": "IndependentSampling", "args": {"n": proposals}}
        kwargs = {"max_metric_calls": METRIC_CALLS, "num_threads": 8, "gepa_kwargs": {"sampling_strategy": sampling}}
        spec["optimizer"] = {"name": "gepa", "kwargs": kwargs}
        folders = make_folders(Path(folder) / "job", spec)
        began = time.perf_counter()
        if forge.start(folders).wait(timeout=600) or (result := folders.result())["outcome"] != "Succeeded":
            raise SystemExit(f"the search failed: {folders.messages()[-5:]}")
        around = 2 * -(-result["splitCounts"]["test"] // 8) * TASK
        return time.perf_counter() - began - around, reflection.stats.by_kind["propose"]
