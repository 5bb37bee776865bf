import os
from pathlib import Path

import pytest

from dspy_service import UnusableDataset
from dspy_service_local.demo.models import KeyMissing, unused_key, user_model
from dspy_service_local.demo.task import Task, payload_of

MODEL = {"name": "openai/humble-1", "base_url": "http://127.0.0.1:1/v1"}


def test_its_own_task() -> None:
    payload = payload_of(Task(), MODEL)
    assert len(payload["dataset"]) >= 200
    assert payload["column_mapping"] == {"inputs": {"text": "text"}, "outputs": {"team": "team"}}
    assert "Literal[" in payload["signature_code"]
    assert payload["model_config"] == MODEL
    assert "reflection_model_config" not in payload


@pytest.mark.parametrize("name", ["gepa", "GEPA", "dspy.GEPA", "dspy.teleprompt.GEPA"])
def test_gepa_gets_the_reflection_model_that_it_needs(name: str) -> None:
    assert payload_of(Task(optimizer=name), MODEL)["reflection_model_config"] == MODEL


def test_a_table_of_the_user(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("My text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40)))
    task = Task(table, ("My text",), ("label",), rows=20)
    payload = payload_of(task, MODEL)
    assert len(payload["dataset"]) == 20
    assert payload["column_mapping"]["inputs"] == {"My_text": "My text"}
    assert payload == payload_of(task, MODEL), "the draw is the same every time"
    assert {row["label"] for row in payload["dataset"]} == {"a", "b"}


def test_own_signature_and_metric(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("class S(dspy.Signature): ...")
    (tmp_path / "m.py").write_text("def metric(a, b): ...")
    payload = payload_of(Task(signature=tmp_path / "s.py", metric=tmp_path / "m.py"), MODEL)
    assert payload["signature_code"] == "class S(dspy.Signature): ..."
    assert payload["metric_code"] == "def metric(a, b): ..."


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,label\na,b\n")
    with pytest.raises(UnusableDataset, match=r"'category'.*text, label"):
        payload_of(Task(table, ("text",), ("category",)), MODEL)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [("banking77_train.csv", ("text",), ("category",)), ("gsm8k_test.jsonl", ("question",), ("answer",))],
)
def test_real_tables(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    folder = os.environ.get("DSPY_SERVICE_DATA")
    if not folder:
        pytest.skip("DSPY_SERVICE_DATA names no folder with real datasets")
    payload = payload_of(Task(Path(folder) / name, inputs, outputs, rows=300), MODEL)
    assert len(payload["dataset"]) == 300
    assert ("Literal[" in payload["signature_code"]) == name.startswith("banking")


@pytest.mark.parametrize(
    ("name", "base_url", "environment", "config"),
    [
        ("openai/x", None, {"OPENAI_API_KEY": "k"}, {"name": "openai/x"}),
        ("openai/x", "http://m/v1", {}, {"name": "openai/x", "base_url": "http://m/v1"}),
        ("ollama_chat/x", None, {}, {"name": "ollama_chat/x"}),
    ],
)
def test_the_users_model(name: str, base_url: str | None, environment: dict[str, str], config: dict[str, str]) -> None:
    assert user_model(name, base_url, environment) == config


def test_a_model_without_its_key_is_told_which() -> None:
    with pytest.raises(KeyMissing, match="ANTHROPIC_API_KEY"):
        user_model("anthropic/x", None, {"OPENAI_API_KEY": "k"})


def test_a_key_that_stays_unused_is_named() -> None:
    assert unused_key({"GROQ_API_KEY": "k"}) == "GROQ_API_KEY"
    assert unused_key({"OPENAI_API_KEY": ""}) is None
