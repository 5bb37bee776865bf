"""KNNFewShot: what it keeps, what it asks, and that its program is the same where only dspy is installed."""

import json
import signal
from pathlib import Path
from typing import Any

import dspy
import pytest

from optimizer_job import SIGNATURE, Folders, OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import TICKETS, ScriptedServer
from waiting import wait_for

EMBEDDER = {"name": "openai/scripted-embedding", "modelType": "embedding"}
KEY = "sk-of-the-embedder-0123"


def knn_spec(url: str, kwargs: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    optimizer = {"name": "dspy.KNNFewShot", "kwargs": {"k": 3, "vectorizer": "near", **(kwargs or {})}}
    return make_spec(url, optimizer=optimizer, **{"modelConfigs": {"near": {**EMBEDDER, "baseUrl": url}}, **changes})


def run(forge: OptimizerForge, folders: Folders) -> dict[str, Any]:
    return forge.run(folders, DSPY_SERVICE_KEY_NEAR=KEY)


def rebuilt(folder: Path, signature: str) -> dspy.Module:
    """As somebody does it who has dspy and the artifact."""
    knn = json.loads((folder / "knn.json").read_text())
    made: dict[str, Any] = {"dspy": dspy, "__name__": "rebuilt_signature"}
    exec(signature, made)
    program = dspy.Predict(made["Ticket"])
    program.load(folder / "program.json")
    rows = [dspy.Example(row).with_inputs(*knn["inputs"]) for row in knn["trainset"]]
    embedder = dspy.Embedder(**knn["vectorizer"], api_key="another", caching=False)
    return dspy.KNNFewShot(knn["k"], rows, embedder, **knn["few_shot_bootstrap_args"]).compile(program)


DATED = '''
import datetime
class Ticket(dspy.Signature):
    """Classify the support ticket."""

    text: str = dspy.InputField()
    day: datetime.date = dspy.InputField()
    label: str = dspy.OutputField()
'''
TYPED_LABEL = '''
import enum
class Label(enum.Enum):
    BILLING = "billing"
    TECHNICAL = "technical"
    ACCOUNT = "account"
    SHIPPING = "shipping"
class Ticket(dspy.Signature):
    """Classify the support ticket."""

    text: str = dspy.InputField()
    label: Label = dspy.OutputField()
'''


MANNERS: dict[str, tuple[dict[str, Any], str]] = {
    "as dspy does by default": ({}, SIGNATURE),
    "labelled rows alone, with typed outputs": ({"max_bootstrapped_demos": 0, "k": 100}, TYPED_LABEL),
}


@pytest.mark.parametrize(("kwargs", "signature"), MANNERS.values(), ids=MANNERS)
def test_the_program_is_the_same_where_only_dspy_is_installed(
    kwargs: dict[str, Any], signature: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", knn_spec(server.url, kwargs, signature={"code": signature}))
    server.keep_requests = True
    result = run(forge, folders)
    assert (result["outcome"], result["details"]["nothing_tried"]) == ("Succeeded", None), result["message"]
    assert result["details"]["unused_rows"] == 10
    asked = [call["request"]["messages"] for call in server.requests if "messages" in call["request"]]
    assert server.calls_of(KEY)

    written = {path.name: path.read_bytes() for path in (folders.out / "artifact").iterdir()}
    assert {"program.json", "program.pkl", "knn.json"} <= written.keys()
    assert not any(KEY.encode() in content for content in written.values())
    assert json.loads(written["knn.json"])["vectorizer"] == {"model": EMBEDDER["name"], "api_base": server.url}

    server.requests.clear()
    lm = dspy.LM("openai/scripted", api_base=server.url, api_key="x", cache=False)
    tested = [json.loads(line)["inputs"] for line in (folders.out / "artifact" / "rows.jsonl").open()]
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        program = rebuilt(folders.out / "artifact", signature)
        for inputs in tested:
            program(**inputs)
    again = [call["request"]["messages"] for call in server.requests if "messages" in call["request"]]
    assert len(tested) == 10
    assert all(messages in asked for messages in again), "a prompt that the job did not send"
    demonstrated = [messages for messages in again if len(messages) > 2]
    assert len(demonstrated) >= 10, "each row has demos"


def test_a_resumed_job_pays_for_nothing_twice(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", knn_spec(server.url))
    server.hold_from(25)
    process = forge.start(folders, DSPY_SERVICE_KEY_NEAR=KEY)
    wait_for(lambda: server.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    embedded = server.stats.by_kind["embedding"]
    server.reset()
    again = next_attempt(folders, tmp_path / "second")
    result = run(forge, again)
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["usage"]["cachedCalls"] > 20
    assert embedded > 0, "it was killed before it embedded a row"


def test_an_input_that_json_does_not_give_back_is_refused_before_money_is_spent(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    columns = {"inputs": {"text": "text", "day": "day"}, "outputs": {"label": "label"}}
    spec = knn_spec(server.url, signature={"code": DATED}, columns=columns)
    result = run(forge, make_folders(tmp_path / "job", spec, [row | {"day": "2025-01-02"} for row in TICKETS]))
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidOptimizer")
    assert "'day' of row" in result["message"]
    assert "it is a date" in result["message"]
    assert server.stats.calls == 0


def test_an_embedder_that_refuses_fails_the_job_by_its_own_error(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    models = {"near": {**EMBEDDER, "baseUrl": server.url_of("401")}}
    result = run(forge, make_folders(tmp_path / "job", knn_spec(server.url, modelConfigs=models)))
    assert (result["outcome"], result["reason"]) == ("Failed", "ModelAuthFailed"), result["message"]
    assert "The near model openai/scripted-embedding" in result["message"]
