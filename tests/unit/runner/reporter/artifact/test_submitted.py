"""What the artifact says of the program as it was submitted is the job's own, whatever the optimizer's folder holds."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from dspy_service_runner.redaction import MARK, Redactor
from dspy_service_runner.reporter.artifact.submitted import Submitted, read_submitted

KEY = "sk-canary-0123456789"
SIGNATURE = "class Ü(dspy.Signature):\r\n\t'''Says \"{x}\"'''\n"
METRIC = "def metric(gold, pred): ...\n"
PAYLOAD = f"sha256:{'0' * 64}"


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def submitted(folder: Path, resource: dict[str, Any] | None = None, target: Any = None, **spec: Any) -> Submitted:
    """As the reporter left the job in `/job/in`; `resource` are fields of the resource's own spec."""
    restored = {
        "module": {"name": "cot", "kwargs": {"temperature": 0.5}},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        **spec,
    }
    module = {"path": "dspy.ChainOfThought"} if target is None else target
    (folder / "job.json").write_bytes(
        orjson.dumps({"spec": restored, "targets": {"module": module, "optimizer": {"path": "dspy.Ensemble"}}})
    )
    return read_submitted(folder, {"dataset": {"rows": []}} | (resource or {}), Redactor([KEY]))


def test_the_signature_is_as_it_was_sent(tmp_path: Path) -> None:
    found = submitted(tmp_path)
    assert found.files["signature.py"] == SIGNATURE.encode()
    assert set(found.files) == {"signature.py", "arguments.json"}
    assert found.digests == {"signature": sha256(SIGNATURE), "metric": sha256(METRIC)}


def test_arguments_are_the_operators_defaults_and_the_jobs_own(tmp_path: Path) -> None:
    target = {"path": "team.Careful", "kwargs": {"temperature": 0.1, "n": 3}}
    found = submitted(tmp_path, target=target, adapter="json")
    assert orjson.loads(found.files["arguments.json"]) == {
        "module": "team.Careful",
        "class": None,
        "kwargs": {"temperature": 0.5, "n": 3},
        "adapter": "json",
    }


def test_what_an_ensemble_joined_is_told_without_states_and_keys(tmp_path: Path) -> None:
    program = {
        "job_id": "one",
        "program_code": f"KEY = '{KEY}'",
        "signature_code": None,
        "program_files": {"a.py": ""},
        "arguments": {"class": "Desk"},
    }
    joined = orjson.dumps([program | {"program_state": {"predict": {}}, "secrets": ["TOKEN"]}]).decode()
    optimizer = {"name": "dspy.Ensemble", "kwargs": {"size": 2}}
    found = submitted(tmp_path, joined={"code": joined}, optimizer=optimizer)
    assert orjson.loads(found.files["joined.json"]) == {
        "programs": [program | {"program_code": f"KEY = '{MARK}'"}],
        "kwargs": {"size": 2},
    }
    assert found.digests["joined"] == sha256(joined.replace(KEY, MARK))


FILES = {"helpers/text.py": "x = 1\r\n", "data/Zoë's.csv": "ü,\x00"}


def test_a_program_has_its_files_and_arguments(tmp_path: Path) -> None:
    for place, text in enumerate(FILES.values()):
        file = tmp_path / "program_files" / str(place) / "value"
        file.parent.mkdir(parents=True)
        file.write_bytes(text.encode())
    program = {
        "code": "class Support(dspy.Module): ...\n",
        "name": "Support",
        "kwargs": {"k": 3},
        "files": [{"path": path} for path in FILES],
    }
    found = submitted(tmp_path, target=False, module=None, program=program)
    assert found.files["program.py"] == program["code"].encode()
    assert orjson.loads(found.files["program_files.json"]) == FILES
    assert orjson.loads(found.files["arguments.json"]) == {
        "module": None,
        "class": "Support",
        "kwargs": {"k": 3},
        "adapter": "chat",
    }
    assert found.digests == {
        "signature": sha256(SIGNATURE),
        "metric": sha256(METRIC),
        "program": sha256(program["code"]),
        **{f"program_files/{path}": sha256(text) for path, text in FILES.items()},
    }


def test_the_adapter_is_chat_where_none_is_named(tmp_path: Path) -> None:
    assert orjson.loads(submitted(tmp_path).files["arguments.json"])["adapter"] == "chat"


@pytest.mark.parametrize(
    "resource",
    [
        {"dataset": {"payload": {"digest": PAYLOAD}}},
        {"signature": {"payload": {"digest": PAYLOAD}}},
        {"signature": {"payload": {"digest": PAYLOAD}}, "dataset": {"payload": {"digest": PAYLOAD}}},
    ],
)
def test_what_was_moved_to_the_store_has_its_digest_there(resource: dict[str, Any], tmp_path: Path) -> None:
    assert submitted(tmp_path, resource).digests["payload"] == PAYLOAD


def test_a_key_in_the_code_goes_no_further(tmp_path: Path) -> None:
    found = submitted(
        tmp_path, signature={"code": f"KEY = {KEY!r}"}, module={"name": "cot", "kwargs": {"config": {"api_key": KEY}}}
    )
    assert found.files["signature.py"].decode() == f"KEY = '{MARK}'"
    assert not any(KEY.encode() in content for content in found.files.values())
