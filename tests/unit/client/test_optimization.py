"""`Client.optimize`: what it sends, what it hands back, and what a notebook shows of it."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dspy
import httpx
import pytest

from dspy_service import AsyncClient, Client, Optimization, UnfitState, UnusableSource, load_state
from dspy_service.display import notebook
from dspy_service.program_states import changes
from fake_service import FakeService
from live_objects import users_project

EXAMPLES = [dspy.Example(question=f"q{n}", answer="a").with_inputs("question") for n in range(10)]
PROGRAM = """
import dspy
class Answer(dspy.Module):
    def __init__(self):
        super().__init__()
        self.draft = dspy.Predict("question -> draft")
        self.answer = dspy.Predict("draft -> answer")
    def forward(self, question): return self.answer(draft=self.draft(question=question).draft)
program = Answer()
def metric(gold, pred): return gold.answer == pred.answer
"""
METRICS = {"baseline_test_metric": 50.0, "optimized_test_metric": 75.0}


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Any]:
    with users_project(tmp_path, {"users_program.py": PROGRAM}) as module:
        yield module


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def client(service: FakeService) -> Client:
    return Client("http://service", transport=service.transport, sleep=service.sleep)


def sent(service: FakeService) -> dict[str, Any]:
    (request,) = [request for request in service.requests if request.method == "POST"]
    body: dict[str, Any] = json.loads(request.content)
    return body


def test_a_program_is_sent_as_it_is(users: Any, client: Client, service: FakeService) -> None:
    lm = dspy.LM("openai/m", api_key="k-secret")
    client.optimize(users.program, metric=users.metric, trainset=EXAMPLES, optimizer=dspy.COPRO(depth=2), lm=lm)
    payload = sent(service)
    assert payload["module_name"] == "Answer"
    assert payload["program_code"].startswith("import dspy")
    assert payload["optimizer_name"] == "dspy.COPRO"
    assert payload["optimizer_kwargs"] == {"depth": 2}
    assert payload["dataset"][0] == {"question": "q0", "answer": "a"}
    assert payload["model_config"]["extra"] == {"api_key": "k-secret"}
    assert "split_column" not in payload


def test_nothing_is_sent_of_what_cannot_be_carried(users: Any, client: Client, service: FakeService) -> None:
    users.open = open
    users.program.more = dspy.Predict("a -> b")
    with pytest.raises(UnusableSource):
        client.optimize(users.program, metric=users.metric, trainset=EXAMPLES, lm="openai/m")
    assert [request for request in service.requests if request.method == "POST"] == []


def test_the_configured_model_is_the_default(users: Any, client: Client, service: FakeService) -> None:
    with dspy.context(lm=dspy.LM("openai/configured")):
        client.optimize(users.program, metric=users.metric, trainset=EXAMPLES)
    assert sent(service)["model_config"]["name"] == "openai/configured"


def test_it_comes_back_at_once_and_waits_when_asked(users: Any, client: Client, service: FakeService) -> None:
    job = client.optimize(users.program, metric=users.metric, trainset=EXAMPLES, lm="openai/m")
    assert repr(job) == f"<Optimization {job.job_id} sent>"
    done = job.wait()
    assert done.job.status == "success"
    assert len(repr(done)) < 120
    assert client.optimize(users.program, metric=users.metric, trainset=EXAMPLES, lm="openai/m", wait=True).status


async def test_the_asynchronous_client_does_the_same(users: Any, service: FakeService) -> None:
    async def no_sleep(_seconds: float) -> None:
        return None

    async with AsyncClient("http://service", transport=service.transport, sleep=no_sleep) as client:
        job = await client.optimize(users.program, metric=users.metric, trainset=EXAMPLES, lm="openai/m")
        assert (await job.wait()).job.status == "success"
        assert job.job_id in repr(job)


def test_a_state_goes_into_what_the_caller_passes(users: Any) -> None:
    state = users.program.dump_state()
    state["draft"]["signature"]["instructions"] = "Better."
    fresh = load_state(users.Answer, state)
    assert fresh.draft.signature.instructions == "Better."
    assert users.program.draft.signature.instructions != "Better."
    assert load_state(users.program, state) is users.program
    assert users.program.draft.signature.instructions == "Better."


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            lambda: dspy.Predict("question -> answer"),
            r"this Predict\. The state lacks 'self' of the program; it has 'draft', 'answer'\.",
        ),
        (lambda: two("question, context -> draft", "draft -> answer"), r"'draft' has the fields"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(users: Any, other: Callable[[], Any], told: str) -> None:
    with pytest.raises(UnfitState, match=told):
        load_state(other(), users.program.dump_state())


def two(first: str, second: str) -> Any:
    program = dspy.Module()
    program.draft, program.answer = dspy.Predict(first), dspy.Predict(second)
    return program


STATES = {
    "baseline_state": {"draft": {"signature": {"instructions": "Say it.\nShort."}, "demos": []}},
    "program_state": {"draft": {"signature": {"instructions": "Say it.\n<b>Long</b>."}, "demos": [{}, {}]}},
}


class Answers:
    """A client whose job has ended with a verdict."""

    def __init__(self) -> None:
        service = FakeService()
        self.real = Client("http://service", transport=service.transport, sleep=service.sleep)
        self.id = service.add("running", "success", events=[("optimized_evaluated", METRICS)]).job_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def artifact(self, job_id: str) -> Any:
        return dataclasses.replace(self.real.artifact(job_id), **STATES)


def test_a_notebook_shows_the_run_and_then_what_changed() -> None:
    client = Answers()
    job = Optimization(client, client.id)
    drawn: list[str] = []
    summary = notebook.show_notebook(client.watch(client.id), drawn.append)
    assert "<progress" in drawn[0]
    assert summary.finished
    ended = job.ended
    shown = notebook.ended(summary, ended.job.result, ended.changes)
    assert "draft: 0 -&gt; 2 demonstrations" in shown
    assert "- Short." in shown
    assert "+ &lt;b&gt;Long&lt;/b&gt;." in shown
    assert "<b>Long" not in shown
    assert job._repr_html_() == shown


def test_outside_of_a_notebook_nothing_is_drawn() -> None:
    assert notebook.drawing() is None


@pytest.mark.parametrize(
    ("answer", "packages"),
    [
        (httpx.Response(200, json={"packages": {"dspy": "3.4.1", "numpy": "2.0"}}), ("dspy", "numpy")),
        (httpx.Response(404, json={"detail": "Not found."}), None),
        (httpx.Response(200, json=[]), None),
    ],
)
def test_what_the_runner_has(client: Client, service: FakeService, answer: httpx.Response, packages: Any) -> None:
    service.faults = [answer]
    assert client.packages() == packages


def test_the_state_of_a_lone_predictor() -> None:
    program = dspy.Predict("question -> answer")
    program.demos = [dspy.Example(question="q", answer="a")]
    before, after = dspy.Predict("question -> answer").dump_state(), program.dump_state()
    assert [(change.predictor, change.demos) for change in changes(before, after)] == [("self", (0, 1))]
    assert len(load_state(dspy.Predict("question -> answer"), after).demos) == 1
    with pytest.raises(
        UnfitState, match=r"this ChainOfThought\. The state lacks 'predict' of the program; it has 'self'"
    ):
        load_state(dspy.ChainOfThought("question -> answer"), after)
