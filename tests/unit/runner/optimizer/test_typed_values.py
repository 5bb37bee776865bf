"""Whole runs on values of a type: scores, demonstrations, state and a second attempt hold what the signature names."""

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import TICKETS, ScriptedServer

SIGNATURE = '''
import datetime, enum
class Label(enum.Enum):
    BILLING = "billing"
    TECHNICAL = "technical"
    ACCOUNT = "account"
    SHIPPING = "shipping"
class Ticket(dspy.Signature):
    """Classify the support ticket."""
    text: str = dspy.InputField()
    day: datetime.date = dspy.InputField()
    label: Label = dspy.OutputField()
'''
METRIC = """
import datetime
from user_signature import Label
def metric(gold, pred, trace=None, pred_name=None, pred_trace=None):
    assert isinstance(gold.label, Label) and gold.day == datetime.date(2024, 1, 31)
    assert gold.items == "unmapped" and gold.number == gold["number"]
    return gold.label is pred.label
"""
COLUMNS = {"inputs": {"text": "text", "day": "day"}, "outputs": {"label": "kind"}}
ROWS = [
    {"text": row["text"], "kind": row["label"].upper(), "day": "2024-01-31", "items": "unmapped", "number": n}
    for n, row in enumerate(TICKETS)
]
FEW_SHOT = {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 2, "max_labeled_demos": 4}}
GEPA = {"name": "gepa", "kwargs": {"max_metric_calls": 40}, "compileKwargs": {}}


def spec(url: str, **changes: Any) -> dict[str, Any]:
    typed = {"signature": {"code": SIGNATURE}, "metric": {"code": METRIC}, "columns": COLUMNS}
    return make_spec(url, **(typed | {"optimizer": FEW_SHOT} | changes))


@pytest.mark.parametrize("optimizer", [FEW_SHOT, GEPA], ids=["few-shot", "gepa"])
def test_values_have_their_types_all_the_way(
    optimizer: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(make_folders(tmp_path / "1", spec(server.url, optimizer=optimizer), ROWS))
    assert (result["outcome"], result["details"]["metric_errors"]) == ("Succeeded", 0)
    assert result["details"]["gold"] == "typed"
    assert result["baselineScore"] > 0
    state = json.loads((tmp_path / "1/out/artifact/program.json").read_text())
    for demo in state["demos"]:
        assert demo["label"] == demo["label"].lower(), "as a model writes it, not as the cell did"
        assert not {"items", "number", "kind"} & demo.keys()


def test_a_second_attempt_goes_on_with_the_same_values(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "1", spec(server.url, optimizer=GEPA), ROWS)
    first = forge.run(folders)
    asked = server.stats.calls
    again = forge.run(next_attempt(folders, tmp_path / "2"))
    assert (again["outcome"], again["details"]["metric_errors"]) == ("Succeeded", 0)
    assert again["optimizedScore"] == first["optimizedScore"]
    assert server.stats.calls - asked <= 2, "the journal answers all but the preflight"


def test_an_output_without_gold_is_judged_by_the_other_columns(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    by_column = "def metric(gold, pred, trace=None):\n    return gold.kind.lower() == pred.label.value\n"
    columns = {"inputs": COLUMNS["inputs"], "outputs": {}, "withoutGold": ["label"]}
    folders = make_folders(tmp_path / "1", spec(server.url, columns=columns, metric={"code": by_column}), ROWS)
    result = forge.run(folders)
    assert (result["outcome"], result["details"]["metric_errors"]) == ("Succeeded", 0)
    assert result["baselineScore"] > 0


def test_a_metric_for_cells_as_sent_gets_them(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    as_text = "def metric(gold, pred, trace=None):\n    return gold.label == pred.label.name\n"
    result = forge.run(make_folders(tmp_path / "1", spec(server.url, metric={"code": as_text}), ROWS))
    assert result["outcome"] == "Succeeded"
    assert result["details"]["gold"] == "as_sent"
    assert result["baselineScore"] > 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a date": ({"day": "31.1.2024"}, "dataset[3], column 'day': field 'day' (date): "),
    "digits for a date": (
        {"day": "20240131"},
        "dataset[3], column 'day': field 'day' (date): write it like 2024-01-31",
    ),
    "null for a date": ({"day": None}, "dataset[3], column 'day': field 'day' (date): "),
    "an object for text": ({"text": {"a": 1}}, "dataset[3], column 'text': field 'text' (str): it must be text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_input_of_another_type_ends_the_job_before_money_is_spent(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    change, said = WRONG[name]
    rows = [row | change if n == 3 else row for n, row in enumerate(ROWS)]
    result = forge.run(make_folders(tmp_path / "1", spec(server.url), rows))
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidDataset")
    assert result["message"].startswith(said)
    assert server.stats.calls == 0


def test_a_gold_of_another_type_is_one_wrong_row(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    rows = [row | {"kind": "a kind of its own"} if n == 3 else row for n, row in enumerate(ROWS)]
    tolerant = "def metric(gold, pred, trace=None):\n    return gold.label is pred.label\n"
    folders = make_folders(tmp_path / "1", spec(server.url, metric={"code": tolerant}), rows)
    assert forge.run(folders)["outcome"] == "Succeeded"
    said = folders.messages("dspy_service.dataset")
    assert said[0].startswith("dataset[3], column 'kind': field 'label' (Label): it must be one of 'billing', ")
    assert said[1].startswith("1 gold cells of field 'label'")
