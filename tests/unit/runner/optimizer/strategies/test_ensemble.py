"""Ensemble: programs of earlier jobs beside each other, each with its own files, and what comes back of them."""

import inspect
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service import Artifact
from dspy_service.files import rebuild
from dspy_service.files.artifact_files import verify_directory, write_artifact
from dspy_service_runner.optimizer.user_code.programs import majority, own_imports
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.submitted import read_submitted
from optimizer_job import SIGNATURE, Folders, OptimizerForge, make_folders, make_spec, next_attempt, program_spec
from rebuilding import Rebuilder
from scripted_lm import ScriptedServer
from waiting import wait_for

EARLY = """
import helpers.text
from helpers import more
from pathlib import Path

assert Path("data/mark.txt").read_text() == helpers.text.MARK

class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("text, mark -> label")

    def forward(self, text: str):
        return self.answer(text=text, mark=helpers.text.MARK + more.MARK)
"""
LATE = """
import importlib

class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.steps = [dspy.ChainOfThought("text, mark -> label")]

    def forward(self, text):
        from helpers.text import MARK
        from helpers import more
        assert importlib.import_module("helpers.text").MARK == MARK
        return self.steps[0](text=text, mark=MARK + more.MARK)
"""


def files(mark: str) -> dict[str, str]:
    return {
        "helpers/__init__.py": "",
        "helpers/text.py": f"MARK = '{mark}'\n",
        "helpers/more.py": "from .text import MARK as NEAR\nfrom helpers.text import MARK as FAR\nMARK = NEAR + FAR\n",
        "data/mark.txt": mark,
    }


def state_of(program: Any, *names: str) -> dict[str, Any]:
    """With instructions that tell which job it is of."""
    state: dict[str, Any] = program.dump_state()
    for name in names:
        state[name]["signature"]["instructions"] = f"Sort it, says {names[0]}."
    return state


class Two(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self, **predictors: Any) -> None:
        super().__init__()
        vars(self).update(predictors)


def program_of(code: str, mark: str, state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "job_id": f"job-{mark}",
        "program_state": state,
        "program_code": code,
        "program_files": files(mark),
        "arguments": {"module": None, "class": "Desk", "kwargs": {}, "adapter": "chat"},
        **changes,
    }


def signature_of(instructions: str, **changes: Any) -> dict[str, Any]:
    state = dspy.Predict(dspy.Signature("text -> label", instructions)).dump_state()
    return {
        "job_id": "plain",
        "program_state": state,
        "signature_code": SIGNATURE,
        "arguments": {"module": "dspy.Predict", "class": None, "kwargs": {}, "adapter": "chat"},
        **changes,
    }


FIRST = program_of(EARLY, "<one>", state_of(Two(answer=dspy.Predict("text, mark -> label")), "answer"))
SECOND = program_of(
    LATE, "<two>", state_of(Two(steps=[dspy.ChainOfThought("text, mark -> label")]), "steps[0].predict")
)
THIRD = signature_of("Sort it, says the third.")


def changed(code: str, **changes: Any) -> dict[str, Any]:
    return FIRST | {"program_code": code} | changes


def ensemble(url: str, programs: list[Any], kwargs: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    optimizer = {"name": "dspy.Ensemble", "kwargs": kwargs or {}}
    return make_spec(url, optimizer=optimizer, joined={"code": json.dumps(programs)}, **changes)


def prompts(server: ScriptedServer) -> list[str]:
    return [json.dumps(call["request"]["messages"]) for call in server.requests if "messages" in call["request"]]


def downloaded(folders: Folders, folder: Path) -> Path:
    """As the client lays it down."""
    made, submitted = folders.out / "artifact", read_submitted(folders.inputs, {"dataset": {}}, Redactor([])).files
    bundle = Artifact(
        "artifacts/x",
        metadata=json.loads((made / "metadata.json").read_text()),
        program_state=json.loads((made / "program.json").read_text()),
        messages=json.loads((made / "messages.json").read_text()),
        signature_code=submitted["signature.py"].decode(),
        arguments=json.loads(submitted["arguments.json"]),
        joined_programs=json.loads(submitted["joined.json"]),
    )
    write_artifact(bundle, folder)
    verify_directory(folder)
    return folder


def test_programs_with_files_of_the_same_names_answer_together_and_come_back(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.keep_requests = True
    folders = make_folders(tmp_path / "job", ensemble(server.url, [FIRST, SECOND, THIRD]))
    result = forge.run(folders)
    assert (result["outcome"], result["details"]["nothing_tried"]) == ("Succeeded", None), result["message"]
    asked = prompts(server)
    assert any("<one><one><one>" in text and "says answer" in text for text in asked)
    assert any("<two><two><two>" in text and "says steps[0].predict" in text for text in asked)
    assert any("says the third" in text for text in asked)
    assert not any("<one>" in text and "<two>" in text for text in asked)

    names = {"programs[0].answer", "programs[1].steps[0].predict", "programs[2]"}
    assert set(folders.state()) - {"metadata"} == names
    assert set(json.loads((folders.out / "artifact/messages.json").read_text())["predictors"]) == names

    server.requests.clear()
    rows = [json.loads(line)["inputs"] for line in (folders.out / "artifact" / "rows.jsonl").open()]
    folder = downloaded(folders, tmp_path / "downloaded")
    with Rebuilder(tmp_path / "cache") as rebuilder:
        rebuilder.run(folder, server.url, rows)
    again = prompts(server)
    assert len(again) == 3 * len(rows)
    assert set(again) <= set(asked), "a prompt that the job did not send"


IMPORTS = (
    EARLY.replace("import helpers.text\nfrom helpers import more", "from helpers.text import MARK")
    .replace(" + more.MARK", "")
    .replace("helpers.text.MARK", "MARK")
)
UNPICKLED = """
import pickle, sys
import dspy
program = pickle.loads(open(sys.argv[1], "rb").read())
assert not any(name.startswith("dspy_service") for name in sys.modules)
with dspy.context(lm=dspy.LM("openai/scripted", api_base=sys.argv[2], api_key="x", cache=False)):
    print(program(text="Ticket 1").label, *(name for name, _ in program.named_predictors()))
"""


def test_its_pickle_needs_dspy_alone(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", ensemble(server.url, [changed(IMPORTS), THIRD]))
    assert "not_written" not in forge.run(folders)["details"]
    command = [sys.executable, "-I", "-c", UNPICKLED, str(folders.out / "artifact/program.pkl"), server.url]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.stdout.split()[-2:] == ["programs[0].answer", "programs[1]"], shown.stderr


def test_the_state_loads_into_an_ensemble_of_ones_own(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", ensemble(server.url, [THIRD, signature_of("Other.", job_id="other")]))
    assert forge.run(folders)["outcome"] == "Succeeded"
    own = dspy.Ensemble(reduce_fn=dspy.majority).compile([dspy.Predict("text -> label") for _ in range(2)])
    own.load(folders.out / "artifact/program.json")
    assert [each.signature.instructions for each in own.programs] == ["Sort it, says the third.", "Other."]


def test_each_row_goes_to_all_programs_and_no_call_is_the_optimizers(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    programs = [signature_of(f"Number {number}.", job_id=str(number)) for number in range(3)]
    folders = make_folders(tmp_path / "job", ensemble(server.url, programs))
    result = forge.run(folders)
    test_rows, tried = result["splitCounts"]["test"], 3
    assert result["usage"]["calls"] == 1 + tried + test_rows * (1 + 3), "preflight, tries, baseline, three at each row"
    assert result["details"]["candidate_scores"] == []


def test_a_killed_job_pays_for_nothing_twice(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "job", ensemble(server.url, [FIRST, SECOND, THIRD]))
    server.hold_from(25)
    process = forge.start(folders)
    wait_for(lambda: server.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    server.reset()
    result = forge.run(next_attempt(folders, tmp_path / "second"))
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["usage"]["cachedCalls"] > 20


ASKS = EARLY.replace("super().__init__()", "super().__init__()\n        self.judge = models['judge']")
LISTS = EARLY.replace("return self.answer(", "return 'a label', self.answer(")
BLIND = EARLY.replace("text, mark -> label", "text, mark -> team")
OTHER = EARLY.replace("text: str", "text: str, day: str")
FOREIGN = EARLY.replace("import helpers.text\n", "import helpers.text, only_ours\n", 1)


def unfit(field: str) -> dict[str, Any]:
    state = dspy.Predict(f"text, mark -> {field}").dump_state()
    return {"answer": state}


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    "no list of programs": ([{}, {}], {}, "InvalidProgram", "spec.joined[0].program_state: Field required"),
    "one alone": ([THIRD], {}, "InvalidProgram", "spec.joined: 1 programs, and 2 to 16 can be joined"),
    "a model that the job lacks": ([THIRD, changed(ASKS)], {}, "InvalidProgram", "programs[1]: the program of job"),
    "an answer that is no prediction": (
        [changed(LISTS), THIRD],
        {},
        "InvalidProgram",
        "programs[0] (job 'job-<one>'): It gives a tuple, and dspy.majority counts a field of dspy.Predictions",
    ),
    "other answers": (
        [THIRD, changed(BLIND, program_state=unfit("team"))],
        {},
        "InvalidProgram",
        "The answers of programs[0] (job 'plain') have 'label', and those of programs[1] (job 'job-<one>') do not.",
    ),
    "a field that no answer has": (
        [THIRD, FIRST],
        {"reduce_fn": {"name": "majority", "field": "team"}},
        "InvalidOptimizer",
        "programs[0] (job 'plain'): Its answers have no 'team', which is counted, but 'label'.",
    ),
    "other inputs": (
        [THIRD, changed(OTHER)],
        {},
        "InvalidProgram",
        "It needs the input 'day', and this job's program takes 'text'.",
    ),
    "a state of another program": (
        [THIRD, changed(EARLY, program_state=unfit("team"))],
        {},
        "InvalidInitialState",
        "programs[1] (job 'job-<one>'): The state to begin with does not fit the program",
    ),
    "a file of nobody's": ([THIRD, changed(FOREIGN)], {}, "InvalidProgram", "'only_ours' is no package of this runner"),
    "more than there are": ([THIRD, FIRST], {"size": 3}, "InvalidOptimizer", "size must be how many of the 2 programs"),
    "another adapter": (
        [THIRD, THIRD | {"arguments": THIRD["arguments"] | {"adapter": "xml"}}],
        {},
        "InvalidProgram",
        "was optimized under the adapter 'xml', and this job's is 'chat'",
    ),
}


@pytest.mark.parametrize(("programs", "kwargs", "reason", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_joined_is_refused_before_the_baseline(
    programs: list[Any],
    kwargs: dict[str, Any],
    reason: str,
    said: str,
    forge: OptimizerForge,
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    folders = make_folders(tmp_path / "job", ensemble(server.url, programs, kwargs))
    result = forge.run(folders)
    assert (result["outcome"], result["reason"]) == ("Failed", reason), result["message"]
    assert said in result["message"]
    assert not folders.events("baseline_evaluated")


OWN = """
import only_ours

class Own(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("text -> label")

    def forward(self, text: str):
        return self.answer(text=text)
"""


def test_the_files_of_the_jobs_own_program_are_its_own(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    own = {
        "code": OWN,
        "files": [{"path": "only_ours.py", "code": ""}, {"path": "helpers/text.py", "code": "MARK = 'own'"}],
    }
    spec = ensemble(server.url, [FIRST, SECOND])
    sent = {"program": own, "optimizer": spec["optimizer"], "joined": spec["joined"]}
    result = forge.run(make_folders(tmp_path / "job", program_spec(server.url, sent)))
    assert result["outcome"] == "Succeeded", result["message"]

    sent["joined"] = {"code": json.dumps([FIRST, changed(FOREIGN)])}
    result = forge.run(make_folders(tmp_path / "other", program_spec(server.url, sent)))
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidProgram")
    assert "'only_ours'" in result["message"]


NUMBER = SIGNATURE.replace("label: str", "label: int")


@pytest.mark.parametrize("counted", [majority.counted_as, rebuild.counted_as])
@pytest.mark.parametrize(
    ("values", "winner"),
    [
        (["Billing.", "other", "billing"], 0),
        ([["a"], ["b"], ["b"]], 1),
        ([3, 1, 1], 1),
        ([True, None, None], 0),
        (["", "", "x"], 2),
        ([None, None], 0),
        (["a", "b"], 0),
        (["B", "A", "a "], 1),
    ],
)
def test_answers_are_counted_as_text_or_as_they_are(values: list[Any], winner: int, counted: Any) -> None:
    answers = [dspy.Prediction(note=str(number), label=value) for number, value in enumerate(values)]
    won = dspy.majority(answers, normalize=counted, field=None)
    assert (won.note, won.label) == (str(winner), values[winner])
    assert dspy.majority(answers, normalize=counted, field="note").note == "0"


def test_what_the_client_has_of_this_is_the_same() -> None:
    assert inspect.getsource(rebuild.OwnImports) == inspect.getsource(own_imports.OwnImports)


def test_some_of_the_programs_answer_each_time(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    programs = [signature_of(f"Number {number}.", job_id=str(number)) for number in range(3)]
    result = forge.run(make_folders(tmp_path / "job", ensemble(server.url, programs, {"size": 2})))
    assert result["usage"]["calls"] == 1 + 3 + result["splitCounts"]["test"] * (1 + 2)
