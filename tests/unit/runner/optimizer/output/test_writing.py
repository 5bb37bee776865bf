"""What a run won is written whatever its demos hold; what cannot be is named, and costs nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.storage.pod_files import ARTIFACT_FILES
from optimizer_job import KEY, METRIC, SIGNATURE, Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

TYPES = """
import datetime, decimal, enum, typing
import dspy, pydantic
class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
class Person(pydantic.BaseModel):
    name: str
    tags: set[str] = set()
class Ticket(dspy.Signature):
    '''Classify the support ticket.'''
    text: str = dspy.InputField()
    label: {annotation} = dspy.OutputField()
"""
ANY_ANSWER = "def metric(gold, pred, trace=None):\n    return 1.0\n"
COMPARE = """
import json, pickle, sys
import dspy
folder = sys.argv[1]
namespace = {"dspy": dspy, "__name__": "clean"}
exec(json.load(open(folder + "/../../in/job.json"))["spec"]["signature"]["code"], namespace)
by_path = dspy.Predict(namespace["Ticket"])
by_path.load(folder + "/program.json")
by_state = dspy.Predict(namespace["Ticket"])
by_state.load_state(json.load(open(folder + "/program.json")))
pickled = pickle.load(open(folder + "/program.pkl", "rb"))
for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()):
    sent = [adapter.format(p.signature, p.demos, {"text": "a"}) for p in (pickled, by_path, by_state)]
    assert sent[0] == sent[1] == sent[2], (adapter, sent)
print(json.dumps([demo["label"] for demo in by_path.demos if demo.get("augmented")]))
"""


def labelled(*answers: str) -> list[dict[str, Any]]:
    """Rows whose right answers the model gives as these texts, in turn."""
    return [{"text": f"Ticket {number}", "label": answers[number % len(answers)]} for number in range(24)]


def run(
    forge: OptimizerForge, tmp_path: Path, annotation: str, answers: tuple[str, ...], **changes: Any
) -> tuple[Folders, dict[str, Any]]:
    rows = labelled(*answers)
    with ScriptedServer(rows) as server:
        spec = make_spec(server.url, metric={"code": ANY_ANSWER}, **changes)
        spec["signature"] = {"code": TYPES.replace("{annotation}", annotation)}
        folders = make_folders(tmp_path / "job", spec, rows)
        result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    return folders, result


def loaded_elsewhere(folders: Folders) -> list[Any]:
    """The demos' labels in the state, once a clean Python has seen that state and pickle prompt alike."""
    ended = subprocess.run(
        [sys.executable, "-I", "-c", COMPARE, str(folders.out / "artifact")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert ended.returncode == 0, ended.stderr
    return list(json.loads(ended.stdout))


@pytest.mark.parametrize(
    ("annotation", "answers", "shown"),
    [
        ("dict[int, str]", ('{"1": "a"}',), {"1": "a"}),
        ("dict[Color, int]", ('{"red": 1}',), {"red": 1}),
        ("set[str]", ('["Cy", "Ann", "Bo"]',), ["Ann", "Bo", "Cy"]),
        ("Person", ('{"name": "Ann", "tags": ["y", "x", "z"]}',), {"name": "Ann", "tags": ["x", "y", "z"]}),
        ("datetime.datetime", ("2024-02-29T12:00:00Z",), "2024-02-29T12:00:00Z"),
        ("datetime.timedelta", ("P1DT3S",), "P1DT3S"),
        ("int", (str(10**30),), str(10**30)),
        ("list[str]", ('["ok \\ud83d"]',), ["ok \ufffd"]),
        ("Person", ('{"name": "A\\ude00"}',), {"name": "A\ufffd", "tags": []}),
        ("list[str]", ('["\\ud83d\\ude00"]',), ["\N{GRINNING FACE}"]),
    ],
)
def test_answers_of_any_type_become_demos_of_a_program_that_loads(
    annotation: str, answers: tuple[str, ...], shown: Any, forge: OptimizerForge, tmp_path: Path
) -> None:
    folders, result = run(forge, tmp_path, annotation, answers)
    assert "not_written" not in result["details"]
    demos = loaded_elsewhere(folders)
    assert demos
    assert all(label == shown for label in demos)


def test_demos_with_a_number_that_json_lacks_are_dropped_and_said(forge: OptimizerForge, tmp_path: Path) -> None:
    folders, result = run(forge, tmp_path, "list[float]", ("[NaN, 1.0]",))
    assert result["details"]["dropped_demos"]["self"] >= 4
    assert loaded_elsewhere(folders) == []
    assert any("dropped: 'label' holds NaN" in message for message in folders.messages("dspy_service"))


def test_a_program_that_cannot_be_pickled_is_kept_by_its_state(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    code = SIGNATURE + "\nimport threading\nTicket.lock = threading.Lock()\n"
    folders = make_folders(tmp_path / "job", make_spec(server.url, signature={"code": code}))
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    assert list(result["details"]["not_written"]) == ["program.pkl"]
    assert "pickle" in result["details"]["not_written"]["program.pkl"]
    files = {path.name for path in (folders.out / "artifact").iterdir()}
    assert files == {"program.json", "baseline.json", "messages.json", "prompt.md", "metadata.json", "rows.jsonl"}
    metadata = json.loads((folders.out / "artifact" / "metadata.json").read_text())
    assert metadata["not_written"] == result["details"]["not_written"]
    assert any("program.pkl could not be written" in message for message in folders.messages())


def test_a_program_whose_pickle_would_hold_a_key_is_kept_by_its_state(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    code = SIGNATURE + f"\nTicket.note = {KEY!r}\n"
    folders = make_folders(tmp_path / "job", make_spec(server.url, signature={"code": code}))
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    assert "one of the job's model keys" in result["details"]["not_written"]["program.pkl"]
    assert not (folders.out / "artifact" / "program.pkl").exists()


@pytest.mark.parametrize("name", sorted({*ARTIFACT_FILES} - {"program.json"}))
def test_a_file_that_cannot_be_written_costs_no_other(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    place = tmp_path / "job" / "out" / "artifact" / name / "a folder in its place"
    metric = f"import os\nos.makedirs({str(place)!r}, exist_ok=True)\n{METRIC}"
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric}))
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    assert list(result["details"]["not_written"]) == [name]
    files = {path.name for path in (folders.out / "artifact").iterdir() if path.is_file()}
    assert files == {*ARTIFACT_FILES} - {name}
