"""The peers of a job: the same DSPy work with no service around it, forked from a warm process or fresh in a sandbox.

The work is what the service's optimizer does for `payloads.payload`: baseline on the test split, BootstrapFewShot, the
score after it. No store, no logs, no artifact, no resource; answered calls are kept in dspy's own disk cache, a folder
a job, as a user would without the service.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from payloads import METRIC, rows, signature

ROWS = 30


@dataclass(frozen=True)
class Forks:
    median_ms: float


def bare_forks(model: str, count: int) -> Forks:
    """One warm process, `count` forks one after the other."""
    command = [sys.executable, __file__, "forks", model, str(count)]
    with tempfile.TemporaryDirectory(prefix="bare-forks-") as folder:
        environment = os.environ | {"TMPDIR": folder}
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return Forks(statistics.median(json.loads(output.splitlines()[-1])))


def bare_cold(model: str, count: int) -> float:
    """Jobs a minute, each in a fresh process in a sandbox, as many at once as there are processors."""
    command = [*_sandbox(), sys.executable, __file__, "once", model]
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(lambda _: subprocess.run(command, capture_output=True, check=False), range(count)):
            if done.returncode:
                raise SystemExit(f"the bare job failed: {done.stderr.decode()[-400:]}")
    return count / (time.perf_counter() - began) * 60


def _sandbox() -> list[str]:
    """The same tool as the embedded node's, with the whole system readable: the cheapest sandbox there is."""
    if not shutil.which("bwrap"):
        return []
    bound = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    checkout = str(Path(__file__).parents[2])
    return ["bwrap", *bound, "--ro-bind", checkout, checkout, "--unshare-pid", "--die-with-parent"]


def _work(model: str) -> None:
    """Prints when it began and when dspy was there, for whoever started it as a pod."""
    print(time.time())
    import dspy  # only the measured processes carry it

    print(time.time())
    data = rows(ROWS)
    code, source, target = signature(data[0])
    namespace: dict[str, object] = {"dspy": dspy}
    exec(compile(code + METRIC.format(output=target), "<bench>", "exec"), namespace)
    examples = [dspy.Example(**row).with_inputs(source) for row in data]
    train, test = examples[: ROWS // 2], examples[ROWS // 2 :]
    dspy.configure(lm=dspy.LM("openai/scripted", api_base=model, api_key="bench", temperature=0.1))
    dspy.configure_cache(disk_cache_dir=tempfile.mkdtemp(prefix="bare-cache-"))
    evaluate = dspy.Evaluate(devset=test, metric=namespace["metric"], num_threads=8)
    program = dspy.Predict(namespace["Ticket"])
    evaluate(program)
    optimizer = dspy.BootstrapFewShot(metric=namespace["metric"], max_bootstrapped_demos=2, max_labeled_demos=4)
    evaluate(optimizer.compile(program, trainset=train))


def _forks(model: str, count: int) -> None:
    import dspy  # noqa: F401 - imported before the fork: that is what "warm" means

    timings = []
    for _ in range(count):
        began = time.perf_counter()
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _work(model)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit("the forked job failed")
        timings.append((time.perf_counter() - began) * 1000)
    print(json.dumps(timings))


if __name__ == "__main__":
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    if sys.argv[1] == "forks":
        _forks(sys.argv[2], int(sys.argv[3]))
    else:
        _work(sys.argv[2])
