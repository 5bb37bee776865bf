import base64
import json
import pickle
from pathlib import Path

import pytest

from dspy_service import Artifact, DamagedArtifact
from dspy_service.artifact_files import verify_directory, write_artifact

PROGRAM = pickle.dumps({"a": [1, 2, 3], "b": "text"})


def make_artifact(content: bytes = PROGRAM, **changes: object) -> Artifact:
    given = {"metadata": {"dspy": "3"}, "optimized_prompt": "# Prompt", "program_state": {"p": 1}} | changes
    return Artifact("artifacts/j", base64.b64encode(content).decode(), **given)


def test_the_files_are_what_was_sent(tmp_path: Path) -> None:
    write_artifact(make_artifact(), tmp_path / "new" / "directory")
    written = {file.name for file in (tmp_path / "new" / "directory").iterdir()}
    assert written == {"program.pkl", "program.json", "prompt.md", "metadata.json", "manifest.json"}
    assert pickle.loads((tmp_path / "new/directory/program.pkl").read_bytes()) == {"a": [1, 2, 3], "b": "text"}
    assert json.loads((tmp_path / "new/directory/program.json").read_text()) == {"p": 1}


def test_writing_again_replaces(tmp_path: Path) -> None:
    write_artifact(make_artifact(), tmp_path)
    write_artifact(make_artifact(pickle.dumps(2)), tmp_path)
    assert pickle.loads((tmp_path / "program.pkl").read_bytes()) == 2


@pytest.mark.parametrize("content", [b"", PROGRAM[:-4], b"garbage that is no pickle"])
def test_a_cut_program_is_refused_and_nothing_is_written(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DamagedArtifact):
        write_artifact(make_artifact(content), tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_text_that_is_no_base64_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact):
        write_artifact(Artifact("p", "not base64!"), tmp_path)


def test_verifying_finds_a_changed_file(tmp_path: Path) -> None:
    write_artifact(make_artifact(), tmp_path)
    (tmp_path / "program.json").write_text("{}")
    with pytest.raises(DamagedArtifact, match=r"program\.json"):
        verify_directory(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DamagedArtifact):
        verify_directory(tmp_path)


def test_a_pickle_is_not_run_by_the_check(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    write_artifact(make_artifact(pickle.dumps(Bomb())), tmp_path / "program")
    assert not (tmp_path / "ran").exists()
