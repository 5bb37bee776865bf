"""Every optimizer under every kind of budget: it ends within the calls in flight, and its scores are complete.

`make matrix` runs all of it and prints the table, with what was said of the whole job beside what it took; otherwise a
fixed sample is run, in which every optimizer and every kind is several times.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from checked_jobs import check_resource
from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.checks.job_estimate import planned_of
from dspy_service_core.estimate.estimate import Estimate, estimate
from dspy_service_core.estimate.kept import kept
from dspy_service_core.estimate.least import least
from dspy_service_core.resource.job import OptimizationJobSpec
from every_optimizer import OPTIMIZERS, models_beside
from knowing_model import KnowingModel
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

pytestmark = pytest.mark.timeout(240)

KINDS = ("metric_calls", "model_calls", "tokens", "cost_usd", "seconds")
CELLS = [(optimizer, kind) for optimizer in OPTIMIZERS for kind in KINDS]
SAMPLE = [cell for number, cell in enumerate(CELLS) if number % 4 == 1]
ROWS, THREADS = 40, 8
SIGNATURE = "class Note(dspy.Signature):\n    note: str = dspy.InputField()\n    reply: str = dspy.OutputField()\n"
METRIC = "def metric(gold, pred, trace=None):\n    return gold.reply == pred.reply\n"
PRICES = {"input": "1000", "output": "2000"}
SLOW, SECONDS = 0.1, 3
"""A model by which a search of more than some dozen rows takes longer than its seconds."""
SEARCHES_NOTHING = {"LabeledFewShot", "KNNFewShot"}
"""Their search makes next to no calls: no budget that reaches for the two scores can end it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        cells = CELLS if metafunc.config.getoption("--matrix") else SAMPLE
        metafunc.parametrize("cell", cells, ids=[" | ".join(cell) for cell in cells])


@pytest.fixture
def knowing() -> Iterator[ScriptedServer]:
    with ScriptedServer(model=KnowingModel()) as running:
        running.keep_requests = True
        yield running


@dataclass(frozen=True)
class Took:
    metric_calls: int
    model_calls: int
    tokens: int
    cost_usd: float
    remembered: int

    @classmethod
    def of(cls, folders: Folders) -> "Took":
        usage = folders.result()["details"]["usage"]["total"]
        return cls(
            folders.progress()["calls"],
            usage["calls"],
            usage["prompt_tokens"] + usage["completion_tokens"],
            usage["cost_usd"],
            usage["cached_calls"],
        )


class Job:
    def __init__(self, optimizer: str, server: ScriptedServer) -> None:
        assert isinstance(server.model, KnowingModel)
        self.rows = [_row(server.model, number) for number in range(ROWS)]
        self.spec = make_spec(
            server.url,
            signature={"code": SIGNATURE},
            metric={"code": METRIC},
            columns={"inputs": {"note": "note"}, "outputs": {"reply": "reply"}},
            optimizer=OPTIMIZERS[optimizer],
            modelConfigs=models_beside(server.url),
        )
        for model in [*self.spec["models"].values(), *self.spec["modelConfigs"].values()]:
            model["prices"] = PRICES

    def said(self) -> tuple[Estimate, dict[str, int]]:
        parsed = OptimizationJobSpec.model_validate(self.spec | {"dataset": {"rows": self.rows}})
        checked = check_resource(parsed, Contents(rows=self.rows))
        assert checked.split_counts is not None
        planned = planned_of(parsed, checked, checked.split_counts, METRIC)
        needed = least(planned)
        return estimate(planned), {
            "metric_calls": sum(needed.metric_calls.values()),
            "model_calls": sum(needed.model_calls.values()),
        }

    def folders(self, root: Path, **budget: Any) -> Folders:
        folders = make_folders(root, self.spec | ({"budget": budget} if budget else {}), self.rows, ready=False)
        job = folders.inputs / "job.json"
        job.write_text(json.dumps(json.loads(job.read_text()) | {"estimate": kept(self.said()[0])}))
        (folders.inputs / "ready").touch()
        return folders


def _row(model: KnowingModel, number: int) -> dict[str, Any]:
    right = {"reply": f"right {number}"}
    return {"note": model.know(f"note {number}", right, {"reply": "wrong"}), **right}


NAMES = {"metric_calls": "metricCalls", "model_calls": "modelCalls", "cost_usd": "costUsd"}


def half_way(kind: str, took: Took, needed: dict[str, int]) -> Any:
    """A cap by which the search gets about a half of what it would take. The least for calls is that of one try."""
    whole = getattr(took, kind)
    if kind in needed:
        return max((needed[kind] + whole) // 2, needed[kind])
    share = (needed["model_calls"] / took.model_calls + 1) / 2
    return int(whole * share) if kind == "tokens" else repr(round(whole * share, 6))


def test_a_budget_ends_a_search_with_complete_scores(
    cell: tuple[str, str],
    forge: OptimizerForge,
    knowing: ScriptedServer,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    optimizer, kind = cell
    job = Job(optimizer, knowing)
    said, needed = job.said()
    free = job.folders(tmp_path / "free")
    assert forge.run(free)["budgetHit"] is None
    took = Took.of(free)
    assert took.metric_calls in said.metric
    assert took.model_calls + took.remembered in said.model
    cap = SECONDS if kind == "seconds" else half_way(kind, took, needed)
    knowing.reset()
    knowing.requests.clear()
    knowing.latency = SLOW if kind == "seconds" else 0.005

    folders = job.folders(tmp_path / "job", **{NAMES.get(kind, kind): cap})
    result = forge.run(folders)

    assert result["outcome"] == "Succeeded", result["message"]
    assert result["splitCounts"] == {"train": 20, "val": 10, "test": 10}
    assert None not in (result["baselineScore"], result["optimizedScore"], result["comparison"])
    assert result["verdict"] != "unknown"
    assert result["comparison"]["rows"] == 10
    assert result["budgetHit"] in (None, kind)
    assert result["details"]["budget_hit"] == result["budgetHit"]
    assert result["stoppedEarly"] is (result["budgetHit"] is not None)
    told = [event["metrics"]["budget_hit"] for event in folders.events("budget_hit")]
    assert told == ([kind] if result["budgetHit"] else [])
    now = Took.of(folders)
    assert knowing.stats.calls == now.model_calls, "the server's own count"
    if kind in needed:
        assert getattr(now, kind) <= cap
    elif kind != "seconds":
        largest = max(map(size, knowing.requests)) * (1 if kind == "tokens" else 0.002)
        assert getattr(now, kind) <= float(cap) + THREADS * largest, "more than the calls in flight"
    if kind != "seconds" and optimizer not in SEARCHES_NOTHING and float(cap) < getattr(took, kind):
        assert result["budgetHit"] == kind, (cap, took, now)
    beside = free.result()["details"]["estimate"]
    assert beside["metric_calls"]["actual"] == took.metric_calls
    assert beside["model_calls"]["actual"] == took.model_calls + took.remembered
    assert beside["tokens"] == {"least": None, "most": None, "actual": took.tokens}
    record_property("budget", json.dumps({"cap": cap, "hit": result["budgetHit"], **asdict(now), "whole": beside}))


def size(request: dict[str, Any]) -> int:
    """The tokens that the server counts, and some for its answer."""
    messages = request["request"].get("messages") or []
    return sum(len(str(message["content"])) for message in messages) // 4 + len(request["answer"]) // 4 + 1


def test_the_sample_has_every_optimizer_and_every_kind() -> None:
    assert {optimizer for optimizer, _ in SAMPLE} == set(OPTIMIZERS)
    assert {kind for _, kind in SAMPLE} == set(KINDS)
