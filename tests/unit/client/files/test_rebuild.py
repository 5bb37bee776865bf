"""Loading a program from its source: only when asked to, and with what the caller gives it."""

import json
import sys
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest

from dspy_service import Artifact, load_program
from dspy_service.files.artifact_files import verify_directory, write_artifact

CODE = """
import extra

class Answer(dspy.Module):
    def __init__(self, note=""):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")
        self.predict.lm = models["judge"]
        self.note = note + extra.words()

    def forward(self, question):
        import later
        return later.said
"""
FILES = {
    "extra.py": "def words():\n    assert models\n    return open('data/words.txt').read()\n",
    "later.py": "said = models['judge']\n",
    "data/words.txt": "words",
}


def state(*names: str) -> dict[str, Any]:
    program = dspy.Module()
    for name in names:
        predictor = dspy.Predict(dspy.Signature("question -> answer", "Better."))
        setattr(program, name, predictor)
    found: dict[str, Any] = program.dump_state()
    return found


def downloaded(folder: Path, **changes: Any) -> Path:
    given: dict[str, Any] = {
        "program_code": CODE,
        "program_files": FILES,
        "arguments": {"module": None, "class": "Answer", "kwargs": {"note": "two "}, "adapter": "chat"},
        "program_state": state("predict"),
    }
    write_artifact(Artifact("artifacts/x", **given | changes), folder)
    return folder


@pytest.fixture(autouse=True)
def own_modules() -> Any:
    """The program's modules, paths and hooks are gone afterwards."""
    path, hooks, known = list(sys.path), list(sys.path_hooks), set(sys.modules)
    yield
    sys.path[:], sys.path_hooks[:] = path, hooks
    for name in set(sys.modules) - known:
        del sys.modules[name]
    sys.path_importer_cache.clear()


def test_nothing_is_run_unless_it_is_asked_for(tmp_path: Path) -> None:
    downloaded(tmp_path, program_code="raise SystemExit('ran')", program_files=None)
    with pytest.raises(ValueError, match="run_code=True"):
        load_program(tmp_path)


def test_it_has_its_arguments_files_and_models(tmp_path: Path) -> None:
    before, here = Path.cwd(), sys.dont_write_bytecode
    judge = dspy.LM("openai/judge", api_key="none")
    program = load_program(downloaded(tmp_path), run_code=True, models={"judge": judge})
    assert program.note == "two words"
    assert program.predict.signature.instructions == "Better."
    assert program.predict.lm is judge
    assert program.forward("x") is judge
    assert (Path.cwd(), sys.dont_write_bytecode) == (before, here)
    verify_directory(tmp_path)


@pytest.mark.parametrize("other", [state("other"), state("predict", "more"), dspy.Predict("a -> b").dump_state()])
def test_a_state_of_another_program_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the state is of a program with the predictors"):
        load_program(downloaded(tmp_path, program_state=other), run_code=True, models={"judge": None})


def test_the_only_class_is_found_where_nobody_named_one(tmp_path: Path) -> None:
    unnamed = {"module": None, "class": None, "kwargs": {}, "adapter": "chat"}
    assert load_program(downloaded(tmp_path, arguments=unnamed), run_code=True, models={"judge": None}).note == "words"


def test_several_classes_are_refused_where_nobody_named_one(tmp_path: Path) -> None:
    unnamed = {"module": None, "class": None, "kwargs": {}, "adapter": "chat"}
    code = CODE + "class Other(dspy.Module): ...\n"
    with pytest.raises(ValueError, match="2 classes that may be meant"):
        load_program(downloaded(tmp_path, arguments=unnamed, program_code=code), run_code=True)


def test_a_program_of_knn_few_shot_looks_up_its_demos(tmp_path: Path) -> None:
    knn = {
        "k": 1,
        "vectorizer": {"model": "openai/embedder"},
        "few_shot_bootstrap_args": {"max_bootstrapped_demos": 0, "max_labeled_demos": 1},
        "inputs": ["question"],
        "trainset": [{"question": "short", "answer": "a"}, {"question": "much, much longer", "answer": "b"}],
    }
    signature = (
        "class Ask(dspy.Signature):\n    question: str = dspy.InputField()\n    answer: str = dspy.OutputField()\n"
    )
    arguments = {"module": "dspy.Predict", "class": None, "kwargs": {}, "adapter": "chat"}
    folder = downloaded(
        tmp_path,
        program_code=None,
        program_files=None,
        signature_code=signature,
        arguments=arguments,
        nearest_rows=knn,
        program_state=dspy.Predict("question -> answer").dump_state(),
    )
    seen: list[str] = []

    def embed(texts: list[str]) -> Any:
        seen.extend(texts)
        return np.array([[1.0, len(text)] for text in texts])

    program = load_program(folder, run_code=True, embedder=embed)
    answering = dspy.utils.DummyLM([{"answer": "found"}])
    with dspy.context(lm=answering):
        assert program(question="much longer, too").answer == "found"
    assert seen == ["question: short", "question: much, much longer", "question: much longer, too"]
    assert "much, much longer" in json.dumps(answering.history[-1]["messages"])
