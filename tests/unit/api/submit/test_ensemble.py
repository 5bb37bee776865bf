"""A request that joins the programs of earlier jobs: they are copied whole, for whoever may read those jobs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import Harness, api_service, failed, put_artifact, running, succeeded
from dspy_service_api.http.routes.examples import REQUEST
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.programs import joined
from dspy_service_core.resource import names
from reviewer import Reviewer

ONE, TWO = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10", "0a1c6b6e-8a0e-4a59-9a38-6b4c6f1d2a11"
STATE = {"signature": {"instructions": "Route.", "fields": []}, "demos": [], "traces": [], "train": [], "lm": None}
DESK = """
from helpers import clean

class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.route = dspy.Predict("text -> team")

    def forward(self, text):
        return self.route(text=clean(text))
"""
FILES = {"helpers.py": "def clean(text):\n    return text\n"}
OF_SIGNATURE = {
    "program.json": STATE,
    "signature.py": REQUEST["signature_code"],
    "arguments.json": {"module": "dspy.ChainOfThought", "class": None, "kwargs": {}, "adapter": "chat"},
}
OF_PROGRAM = {
    "program.json": {"route": STATE},
    "program.py": DESK,
    "program_files.json": FILES,
    "arguments.json": {"module": None, "class": "Desk", "kwargs": {}, "adapter": "chat"},
}
Contents = dict[str, Any]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


async def earlier(api: Harness, name: str, contents: Contents, **spec: Any) -> None:
    job = await api.job(name, succeeded(job_id=names.job_id(name)), **spec)
    encoded = {name: text.encode() if isinstance(text, str) else orjson.dumps(text) for name, text in contents.items()}
    put_artifact(api.store, job, contents=encoded, left_out=() if "signature.py" in contents else ("signature.py",))


def request(*programs: Any, kwargs: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    given = {"programs": list(programs), **(kwargs or {})}
    return {**REQUEST, "optimizer_name": "dspy.Ensemble", "optimizer_kwargs": given, **changes}


async def joined_by(api: Harness, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = await api.client.post("/run", json=body)
    assert response.status_code == 200, response.text
    made = api.cluster.find(OPTIMIZATION_JOBS, f"job-{response.json()['job_id']}")
    assert made is not None
    assert made["spec"]["joined"]["payload"] == {"digest": made["spec"]["dataset"]["payload"]["digest"]}
    assert made["spec"]["optimizer"]["kwargs"] == body["optimizer_kwargs"]
    key = f"default/jobs/{response.json()['job_id']}/payload.json"
    return list(orjson.loads(api.store.get(key))["joined"])


async def test_programs_are_copied_whole(api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await earlier(api, "desk", OF_PROGRAM)
    first, second = await joined_by(api, request(ONE, "desk"))
    assert first == {
        "job_id": ONE,
        "program_state": STATE,
        "program_code": None,
        "signature_code": REQUEST["signature_code"],
        "program_files": None,
        "arguments": OF_SIGNATURE["arguments.json"],
        "secrets": [],
    }
    assert second["job_id"] == "desk"
    assert (second["program_code"], second["program_files"], second["program_state"]) == (DESK, FILES, {"route": STATE})


async def test_the_copies_stay_when_the_earlier_jobs_are_removed(api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await earlier(api, f"job-{TWO}", OF_PROGRAM)
    body, key = request(ONE, TWO), {"Idempotency-Key": "once"}
    made = (await api.client.post("/run", json=body, headers=key)).json()["job_id"]
    for job_id in (ONE, TWO):
        assert (await api.client.delete(f"/jobs/{job_id}")).status_code == 204
    assert len(orjson.loads(api.store.get(f"default/jobs/{made}/payload.json"))["joined"]) == 2

    again = await api.client.post("/run", json=body, headers=key)
    assert (again.status_code, again.json()["job_id"]) == (200, made)
    other = await api.client.post("/run", json=body | {"seed": 8}, headers=key)
    assert other.status_code == 404
    assert (await api.client.post("/run", json=body)).status_code == 404


async def test_its_payload_names_the_earlier_jobs(api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await earlier(api, f"job-{TWO}", OF_PROGRAM)
    body = request(ONE, TWO)
    made = (await api.client.post("/run", json=body)).json()["job_id"]
    payload = await api.client.get(f"/jobs/{made}/payload")
    assert payload.status_code == 200, payload.text
    assert payload.json()["optimizer_kwargs"] == body["optimizer_kwargs"]
    assert "joined" not in payload.json()
    assert len(await joined_by(api, payload.json() | {"run_options": {}})) == 2


async def refusal(api: Harness, code: int, body: dict[str, Any]) -> str:
    before = len(api.cluster.all(OPTIMIZATION_JOBS))
    response = await api.client.post("/run", json=body)
    assert response.status_code == code, response.text
    assert len(api.cluster.all(OPTIMIZATION_JOBS)) == before
    return str(response.json()["detail"])


LIST = "optimizer_kwargs.programs must be a list of 2 to 16 ids of jobs, whose programs are joined."


@pytest.mark.parametrize("programs", [None, [], [ONE], ONE, {"a": ONE}, [ONE] * 17])
async def test_what_is_no_list_of_programs(programs: Any, api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    assert await refusal(api, 400, request() | {"optimizer_kwargs": {"programs": programs}}) == LIST


@pytest.mark.parametrize(
    ("second", "code", "said"),
    [
        (7, 400, "optimizer_kwargs.programs[1] must be the id of a job."),
        (TWO, 404, f"optimizer_kwargs.programs[1]: Unknown job '{TWO}'."),
        ("Not/A/Name", 404, "optimizer_kwargs.programs[1]: Unknown job 'Not/A/Name'."),
        (ONE, 400, f"optimizer_kwargs.programs[1]: job '{ONE}' is named twice: its program would only answer twice."),
        (f"job-{ONE}", 400, f"optimizer_kwargs.programs[1]: job 'job-{ONE}' is named twice"),
    ],
)
async def test_a_program_that_is_not_there(second: Any, code: int, said: str, api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    assert (await refusal(api, code, request(ONE, second))).startswith(said)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (running(), "has not finished yet: wait for its program."),
        (failed("it broke"), "made no program to join."),
        ({"phase": "Cancelled"}, "made no program to join."),
    ],
)
async def test_a_job_without_a_program(status: Object, said: str, api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await api.job(f"job-{TWO}", status)
    assert await refusal(api, 400, request(ONE, TWO)) == f"optimizer_kwargs.programs[1]: job '{TWO}' {said}"


OTHER_INPUT = DESK.replace("text)", "text, day)", 1)
ASKING = DESK.replace("super().__init__()", "super().__init__()\n        self.judge = models['judge']")
SEARCHING = DESK + "import os\nTOKEN = os.environ['SEARCH_TOKEN']\n"
NO_TEAM = REQUEST["signature_code"].replace("team: str", "group: str")
UNFIT: dict[str, tuple[Contents, str]] = {
    "that looks its demos up": (
        OF_SIGNATURE | {"knn.json": {"k": 3}},
        "the program of job '{}' cannot be joined: it looks its demos up at each call",
    ),
    "that is an ensemble": (OF_SIGNATURE | {"joined.json": {}}, "cannot be joined: it is an ensemble itself"),
    "with a spoiled state": (OF_SIGNATURE | {"program.json": "[1]"}, "the program's state of job '{}' cannot be read."),
    "under another adapter": (
        OF_SIGNATURE | {"arguments.json": OF_SIGNATURE["arguments.json"] | {"adapter": "json"}},
        "the program of job '{}' was optimized under the adapter 'json', and this job's is 'chat' (adapter)",
    ),
    "that asks a model": (
        OF_PROGRAM | {"program.py": ASKING},
        "the program of job '{}' asks for models['judge'], which is none of this job's: add it to model_configs.",
    ),
    "that reads a secret": (
        OF_PROGRAM | {"program.py": SEARCHING},
        "the program of job '{}' reads the secret 'SEARCH_TOKEN', which this job does not have: give it in secrets.",
    ),
    "with other inputs": (
        OF_PROGRAM | {"program.py": OTHER_INPUT},
        "the program of job '{}' needs the input 'day', which this job's program does not take: 'text'.",
    ),
    "with other outputs": (
        OF_SIGNATURE | {"signature.py": NO_TEAM},
        "the program of job '{}' gives no output 'team', as this job's program does: 'group'.",
    ),
    "that is too large": (
        OF_PROGRAM | {"program_files.json": {"data.txt": "x" * joined.MOST_BYTES}},
        "with the program of job '{}' they take more than 4194304 bytes together",
    ),
}


@pytest.mark.parametrize(("contents", "said"), UNFIT.values(), ids=UNFIT)
async def test_a_program(contents: Contents, said: str, api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    secret = {"SEARCH_TOKEN": {"name": "search", "key": "token"}}
    await earlier(api, f"job-{TWO}", contents, secrets=secret | {"OTHER_TOKEN": secret["SEARCH_TOKEN"]})
    found = await refusal(api, 400, request(ONE, TWO))
    assert found.startswith("optimizer_kwargs.programs[1]: ")
    assert said.format(TWO) in found


async def test_what_its_code_asks_for_can_be_given(api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_PROGRAM | {"program.py": ASKING})
    secret = {"SEARCH_TOKEN": {"name": "search", "key": "token"}}
    await earlier(api, f"job-{TWO}", OF_PROGRAM | {"program.py": SEARCHING}, secrets=secret)
    judge = {"judge": {"name": "openai/gpt-4o"}}
    body = request(ONE, TWO, model_configs=judge, secrets={"SEARCH_TOKEN": "a-new-token"})
    assert [program["secrets"] for program in await joined_by(api, body)] == [[], ["SEARCH_TOKEN"]]


BAD_KWARGS: dict[str, tuple[dict[str, Any], str]] = {
    "another function": ({"reduce_fn": "first"}, 'optimizer_kwargs.reduce_fn must be "majority", or names the field'),
    "no name": ({"reduce_fn": {"field": "team"}}, "optimizer_kwargs.reduce_fn must be"),
    "code": ({"reduce_fn": "lambda answers: answers[0]"}, "without one an ensemble returns a list"),
    "too many": ({"size": 3}, "optimizer_kwargs.size must be how many of the 2 programs answer each time"),
    "none": ({"size": 0}, "optimizer_kwargs.size must be"),
    "no number": ({"size": "2"}, "Optimizer 'dspy.Ensemble' takes int or null, not \"2\""),
    "deterministic": ({"deterministic": True}, "optimizer_kwargs.deterministic must be false: DSPy has not built"),
    "what it does not take": (
        {"k": 3},
        "has no keyword argument 'k' (optimizer_kwargs). Supported: programs, reduce_fn",
    ),
}


@pytest.mark.parametrize(("kwargs", "said"), BAD_KWARGS.values(), ids=BAD_KWARGS)
async def test_arguments_that_are_refused(kwargs: dict[str, Any], said: str, api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await earlier(api, f"job-{TWO}", OF_PROGRAM)
    assert said in await refusal(api, 400, request(ONE, TWO, kwargs=kwargs))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"reduce_fn": "majority"},
        {"reduce_fn": None, "size": None},
        {"reduce_fn": {"name": "dspy.majority", "field": "team"}},
        {"size": 2},
    ],
)
async def test_arguments_that_are_taken(kwargs: dict[str, Any], api: Harness) -> None:
    await earlier(api, f"job-{ONE}", OF_SIGNATURE)
    await earlier(api, f"job-{TWO}", OF_PROGRAM)
    assert len(await joined_by(api, request(ONE, TWO, kwargs=kwargs))) == 2


async def test_other_optimizers_take_no_programs(api: Harness) -> None:
    body = request(ONE, TWO) | {"optimizer_name": "dspy.BootstrapFewShot"}
    assert "has no keyword argument 'programs'" in await refusal(api, 400, body)


async def test_whoever_may_not_read_a_job_does_not_join_it(tmp_path: Path) -> None:
    acceptance = CoreAcceptance.from_settings(Settings())
    async with api_service(tmp_path, acceptance, auth_mode="kubernetes") as api:
        api.cluster.transport.inner = reviewer = Reviewer(api.cluster.transport.inner)
        reviewer.readable.add(f"job-{ONE}")
        api.client.headers["Authorization"] = "Bearer good"
        await earlier(api, f"job-{ONE}", OF_SIGNATURE)
        await earlier(api, f"job-{TWO}", OF_PROGRAM)
        for job_id in (TWO, "no-such-job"):  # whether there is such a job is not told
            found = await refusal(api, 403, request(ONE, job_id))
            assert found.startswith("optimizer_kwargs.programs[1]: User 'jane' may not get ")
