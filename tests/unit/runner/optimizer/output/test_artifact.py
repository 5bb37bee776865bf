"""The artifact is of use without us: a clean Python with dspy unpickles and calls it, and no key is in it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import KEY, SIGNATURE, Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

SIGNATURES = {
    "plain": SIGNATURE,
    "postponed annotations": "from __future__ import annotations\nimport dspy\n" + SIGNATURE,
    "literal": "from typing import Literal\n"
    + SIGNATURE.replace("label: str", "label: Literal['account', 'billing', 'shipping', 'technical']"),
    "inherited": SIGNATURE.replace("Ticket", "Base") + "\nclass Ticket(Base):\n    '''Classify it.'''\n",
    "string": 'Ticket = dspy.Signature("text -> label", "Classify the support ticket.")',
    "own type": "import pydantic\nclass Mood(pydantic.BaseModel):\n    calm: bool = True\n" + SIGNATURE,
}
CALL = """
import pickle, sys
import dspy
program = pickle.loads(open(sys.argv[1], "rb").read())
assert not any(name.startswith("dspy_service") for name in sys.modules), "it needs us"
dspy.configure(lm=dspy.LM("openai/scripted", api_base=sys.argv[2], api_key="mine"))
print(program(text="Ticket 0: I was charged twice this month").label)
"""
LOAD = """
import sys
import dspy
namespace = {"dspy": dspy}
exec(sys.argv[2], namespace)
program = dspy.ChainOfThought(namespace["Ticket"])
program.load(sys.argv[1] + "/program.json")
print(len(program.predictors()[0].demos))
"""


def in_a_clean_python(code: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, check=False, cwd="/"
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("code", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_the_pickle_is_called_where_only_dspy_is(
    code: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(
        tmp_path / "job", make_spec(server.url, signature={"code": code}, module={"name": "cot", "kwargs": {}})
    )
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]

    label = in_a_clean_python(CALL, str(folders.out / "artifact" / "program.pkl"), server.url)

    assert label in server.model.labels


@pytest.fixture
def finished(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> Folders:
    models: dict[str, Any] = {"default": {"name": "openai/scripted", "baseUrl": server.url}}
    folders = make_folders(tmp_path / "job", make_spec(server.url, module={"name": "cot"}, models=models))
    assert forge.run(folders)["outcome"] == "Succeeded"
    return folders


def test_the_state_loads_into_a_rebuilt_program(finished: Folders) -> None:
    assert int(in_a_clean_python(LOAD, str(finished.out / "artifact"), SIGNATURE)) > 4


def test_the_metadata_says_what_it_was_made_of(finished: Folders) -> None:
    metadata = json.loads((finished.out / "artifact" / "metadata.json").read_text())
    assert set(metadata["dependency_versions"]) >= {"python", "dspy", "cloudpickle"}
    assert metadata["signature"] == "Ticket"
    assert metadata["model_identifier"] == "openai/scripted"
    assert metadata["optimized_test_metric"] == finished.result()["optimizedScore"]
    assert metadata["columns"] == {"inputs": {"text": "text"}, "outputs": {"label": "label"}}


def test_the_prompt_is_readable(finished: Folders) -> None:
    prompt = (finished.out / "artifact" / "prompt.md").read_text()
    for part in ("Classify the support ticket.", "- `text` (str)", "### Demo 1", "## As sent to the model", "{text}"):
        assert part in prompt


def test_neither_keys_nor_endpoints_are_kept(finished: Folders, server: ScriptedServer) -> None:
    for path in (finished.out / "artifact").iterdir():
        assert KEY.encode() not in path.read_bytes()
        assert server.url.encode() not in path.read_bytes()


def test_models_that_simba_set_are_stripped(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    optimizer = {"name": "simba", "kwargs": {"bsize": 8, "num_candidates": 2, "max_steps": 2}}
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer))
    forge.run(folders)
    for path in (*(folders.out / "artifact").iterdir(), folders.out / "checkpoint" / "best.json"):
        assert server.url.encode() not in path.read_bytes()


def test_user_code_finds_no_key_in_its_environment(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    peek = "import os\nassert not [n for n in os.environ if n.startswith(('DSPY_SERVICE_KEY', 'DSPY_SERVICE_CRED'))]\n"
    folders = make_folders(tmp_path / "job", make_spec(server.url, signature={"code": peek + SIGNATURE}))
    result = forge.run(folders, DSPY_SERVICE_CREDENTIALS_TASK='{"extra": {}}')
    assert result["outcome"] == "Succeeded", result["message"]
