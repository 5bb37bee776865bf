"""Secrets of a job's code: it finds each by its own name, and nothing that leaves the process tells one."""

import json
from pathlib import Path

import pytest

from optimizer_job import Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

TOKEN = "c4n4ry-of-a-tool-0123"
EVALUATE = {"name": "evaluate"}
USING = f"""
import os

def metric(gold, pred, trace=None):
    assert os.environ["SEARCH_TOKEN"] == {TOKEN[:6]!r} + {TOKEN[6:]!r}
    assert not [name for name in os.environ if name.startswith("DSPY_SERVICE_SECRET")]
    return 1
"""
AT_IMPORT = f"""
import os

TOKEN = os.environ["SEARCH_TOKEN"]

def metric(gold, pred, trace=None):
    return len(TOKEN) == {len(TOKEN)}
"""
IN_A_CHILD = """
import subprocess, sys

def metric(gold, pred, trace=None):
    code = "import os; print(len(os.environ['SEARCH_TOKEN']))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).stdout.strip() == b"21"
"""
TELLING = """
import os, sys

def metric(gold, pred, trace=None):
    print("token", os.environ["SEARCH_TOKEN"])
    print(dict(os.environ), file=sys.stderr)
    return 1
"""
MISSING = "import os\n\nTOKEN = os.environ['OTHER_TOKEN']\n\ndef metric(gold, pred, trace=None):\n    return 1\n"


def folders_of(tmp_path: Path, url: str, metric: str) -> Folders:
    held = {"SEARCH_TOKEN": {"name": "tools", "key": "token"}}
    spec = make_spec(url, optimizer=EVALUATE, metric={"code": metric}, secrets=held)
    return make_folders(tmp_path / "job", spec)


@pytest.mark.parametrize("metric", [USING, AT_IMPORT, IN_A_CHILD], ids=["when called", "at import", "in a child"])
def test_the_code_finds_it_by_its_name(
    metric: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(folders_of(tmp_path, server.url, metric), DSPY_SERVICE_SECRET_SEARCH_TOKEN=TOKEN)
    assert (result["outcome"], result["baselineScore"]) == ("Succeeded", 100.0), result["message"]


def test_the_containers_output_does_not_tell_it(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = folders_of(tmp_path, server.url, TELLING)
    process = forge.start(folders, DSPY_SERVICE_SECRET_SEARCH_TOKEN=TOKEN)
    assert process.wait() == 0
    output = process.stdout.read_text()
    assert "token [redacted]" in output
    assert TOKEN not in output


def test_no_pickle_is_written_that_holds_it(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    signature = """
import os

TOKEN = os.environ["SEARCH_TOKEN"]

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
"""
    held = {"SEARCH_TOKEN": {"name": "tools", "key": "token"}}
    spec = make_spec(server.url, optimizer=EVALUATE, signature={"code": signature}, secrets=held)
    folders = make_folders(tmp_path / "job", spec)
    result = forge.run(folders, DSPY_SERVICE_SECRET_SEARCH_TOKEN=TOKEN)
    kept = {path.name: path.read_bytes() for path in (folders.out / "artifact").iterdir()}
    assert result["outcome"] == "Succeeded"
    assert all(TOKEN.encode() not in content for content in kept.values())


def test_a_name_that_was_not_given_fails_with_that_name(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(folders_of(tmp_path, server.url, MISSING), DSPY_SERVICE_SECRET_SEARCH_TOKEN=TOKEN)
    assert (result["outcome"], "OTHER_TOKEN" in result["message"]) == ("Failed", True)


def test_two_jobs_with_other_secrets_have_the_same_payload_digest(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    digests = []
    for name in ("one", "two"):
        held = {"SEARCH_TOKEN": {"name": f"job-{name}-keys", "key": "SEARCH_TOKEN"}}
        folders = make_folders(tmp_path / name, make_spec(server.url, optimizer=EVALUATE, secrets=held))
        forge.run(folders, DSPY_SERVICE_SECRET_SEARCH_TOKEN=TOKEN)
        digests.append(json.loads((folders.out / "artifact" / "metadata.json").read_text())["payload_digest"])
    assert digests[0] == digests[1]
