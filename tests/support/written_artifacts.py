"""Artifacts of programs without a run: what the pod writes of them, and what a Python with dspy alone makes of that.

Each side is one process that imports dspy once and forks for each program, as a pod is forked, so that no program sees
the modules, the folder or the settings of another.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dspy_service import Artifact
from dspy_service.files.artifact_files import write_artifact
from dspy_service_core.storage import pod_files
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.submitted import read_submitted

WRITING = """
import json, os, sys, traceback
from pathlib import Path
import dspy
from dspy_service_runner.optimizer.output.artifact import trim, write_artifact
from dspy_service_runner.optimizer.program_state import mend, state_of
from dspy_service_runner.optimizer.user_code.programs import program as programs
from dspy_service_runner.redaction import Redactor

ADAPTERS = {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}

def optimized(program):
    "Other instructions and demos for every predictor, as an optimizer leaves them."
    for number, (name, lead) in enumerate(program.named_predictors()):
        lead.signature = lead.signature.with_instructions(f"Instruction {number}: be right, {{{{question}}}}.")
        values = {field: f"{field} of {name} {number}" for field in lead.signature.fields}
        lead.demos = [dspy.Example(values, augmented=True), dspy.Example({**values, "tags": {"b", "a"}})]
    return program

def write(root, job):
    dspy.configure(lm=dspy.LM("openai/none", api_key="none"), adapter=ADAPTERS[job["adapter"]]())
    models = {"default": dspy.settings.lm, "reflection": dspy.settings.lm}
    if job["program"]:
        source = programs.ProgramSource(**job["program"], signature=job["signature"] or None)
        made = programs.own_program(source, models, root)
    else:
        module = getattr(dspy, job["module"])
        made = programs.signature_program(job["signature"], module, job["kwargs"], models)
    given = state_of(made.module)
    program = trim(optimized(made.module))
    mend(program)
    told = {"signature": made.name}
    missing = write_artifact(root / "artifact", program, made.user_modules, given, told, Redactor([]), None, {})
    (root / "told.json").write_text(json.dumps(missing))
"""
READING = """
import json, os, pickle, sys, traceback
from pathlib import Path
import dspy

ADAPTERS = {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}

def compared(program, wanted):
    adapter = ADAPTERS[wanted["adapter"]]()
    found = {}
    for name, lead in program.named_predictors():
        inputs = {field: each["placeholder"] for field, each in wanted["predictors"][name]["inputs"].items()}
        messages = adapter.format(lead.signature, lead.demos, inputs)
        found[name] = messages == wanted["predictors"][name]["messages"] or messages
    return found

def write(root, job):
    wanted = json.loads((root / "downloaded/messages.json").read_text())
    pickled = root / "artifact/program.pkl"
    unpickled = compared(pickle.loads(pickled.read_bytes()), wanted) if pickled.exists() else None
    sys.path.insert(0, str(root / "downloaded"))
    from load import load_program
    lm = dspy.LM("openai/none", api_key="none")
    rebuilt = load_program(root / "downloaded", run_code=True, models={"default": lm, "reflection": lm})
    foreign = sorted(name for name in sys.modules if name.startswith("dspy_service"))
    found = {"same": compared(rebuilt, wanted), "unpickled": unpickled, "foreign": foreign}
    (root / "found.json").write_text(json.dumps(found))
"""
FORKING = """
for place in sys.argv[1:]:
    root = Path(place)
    if (child := os.fork()) == 0:
        try:
            write(root, json.loads((root / "job.json").read_text())["ours"])
        except BaseException:
            (root / "error.txt").write_text(traceback.format_exc())
        os._exit(0)
    os.waitpid(child, 0)
"""


def write_all(roots: Iterable[Path]) -> None:
    """What the pod writes, and then what a client does with the service's answer."""
    _forked([sys.executable, "-c", WRITING + FORKING], roots)
    for root in roots:
        if not (root / "error.txt").exists():
            write_artifact(_answered(root), root / "downloaded")


def rebuild_all(roots: Iterable[Path]) -> None:
    """`-I`: nothing but what is installed is found, and of that the downloaded `load.py` imports dspy alone."""
    _forked([sys.executable, "-I", "-c", READING + FORKING], [root for root in roots if (root / "downloaded").exists()])


def _forked(command: list[str], roots: Iterable[Path]) -> None:
    ended = subprocess.run([*command, *map(str, roots)], capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr


def make_job(root: Path, spec: Mapping[str, Any], module: str = "", adapter: str = "chat") -> Path:
    """As the reporter leaves it in `/job/in`: the program's files beside it."""
    root.mkdir(parents=True)
    program, files = spec.get("program"), {}
    if program:
        files = {file["path"]: file["code"] for file in program["files"]}
        for place, text in enumerate(files.values()):
            value = root / "program_files" / str(place) / "value"
            value.parent.mkdir(parents=True)
            value.write_bytes(text.encode())
        program = {**program, "files": [{"path": path} for path in files]}
    ours = {
        "program": program
        and {"code": program["code"], "name": program["name"], "kwargs": program["kwargs"], "files": files},
        "signature": (spec.get("signature") or {}).get("code"),
        "module": module,
        "kwargs": (spec.get("module") or {}).get("kwargs", {}),
        "adapter": adapter,
    }
    targets = {"module": {"path": f"dspy.{module}"} if module else None}
    restored = {key: value for key, value in {**spec, "program": program, "adapter": adapter}.items() if value}
    (root / "job.json").write_text(json.dumps({"spec": restored, "targets": targets, "ours": ours}))
    return root


def _answered(root: Path) -> Artifact:
    submitted = read_submitted(root, {"dataset": {}}, Redactor([])).files
    written = {name: (root / "artifact" / name) for name in os.listdir(root / "artifact")}

    def parsed(content: bytes | None) -> Any:
        return None if content is None else json.loads(content)

    return Artifact(
        "artifacts/x",
        metadata=json.loads(written[pod_files.METADATA].read_text()),
        program_state=json.loads(written[pod_files.PROGRAM_STATE].read_text()),
        baseline_state=json.loads(written[pod_files.BASELINE_STATE].read_text()),
        messages=json.loads(written[pod_files.MESSAGES].read_text()),
        arguments=parsed(submitted[pod_files.ARGUMENTS]),
        signature_code=_text(submitted.get(pod_files.SIGNATURE_SOURCE)),
        program_code=_text(submitted.get(pod_files.PROGRAM_SOURCE)),
        program_files=parsed(submitted.get(pod_files.PROGRAM_FILES)),
    )


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode()
