import base64
import hashlib
import json
import os
import pickle
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dspy_service import Artifact, DamagedArtifact
from dspy_service.files.artifact_files import NAMES, artifact_files, digests_of, verify_directory, write_artifact

PROGRAM = pickle.dumps({"a": [1, 2, 3], "b": "text"})


def make_artifact(content: bytes = PROGRAM, **changes: object) -> Artifact:
    given = {"metadata": {"dspy": "3"}, "optimized_prompt": "# Prompt", "program_state": {"p": 1}} | changes
    return Artifact("artifacts/j", base64.b64encode(content).decode(), **given)


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


FILES = {
    "helpers/text.py": "def clean(x):\r\n\treturn x\n",
    "data/Zoë's terms.csv": "a,b\n",
    "signature.py": "import dspy",
}
SOURCES: dict[str, object] = {
    "program_code": "class Support(dspy.Module): ...\n",
    "signature_code": "class Ü(dspy.Signature): ...\n",
    "program_files": FILES,
    "arguments": {"module": None, "class": "Support", "kwargs": {}, "adapter": "chat"},
    "messages": {"adapter": "chat", "predictors": {}},
    "baseline_state": {"p": 0},
    "nearest_rows": {"k": 3},
    "joined_programs": {
        "programs": [
            {
                "job_id": "one",
                "arguments": {"class": "Desk"},
                "signature_code": "class Ü: ...",
                "program_code": "class Desk: ...",
                "program_files": FILES,
            },
            {
                "job_id": "two",
                "arguments": {"module": "dspy.Predict"},
                "signature_code": "class T: ...",
                "program_code": None,
                "program_files": None,
            },
        ],
        "kwargs": {"size": 2},
    },
}
FULL = [
    *NAMES,
    *(f"source/{name}" for name in ("user_program.py", "user_signature.py", *FILES)),
    *(f"joined/0/{name}" for name in ("user_program.py", "user_signature.py", *FILES)),
    "joined/1/user_signature.py",
    "manifest.json",
]


def written(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", ["../x.py", "/etc/x", "a/../../b", "", "a\\b"])
def test_no_file_of_a_joined_program_lies_elsewhere(path: str, tmp_path: Path) -> None:
    program = {"job_id": "", "arguments": {}, "signature_code": None, "program_code": "", "program_files": {path: ""}}
    with pytest.raises(DamagedArtifact, match="odd path"):
        write_artifact(make_artifact(joined_programs={"programs": [program]}), tmp_path)
    assert written(tmp_path) == set()


@pytest.mark.parametrize("told", [{}, {"programs": 1}, {"programs": [1]}, {"programs": [{"program_files": {}}]}])
def test_what_an_ensemble_joined_can_be_read(told: Any, tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match="What the ensemble joined cannot be read"):
        write_artifact(make_artifact(joined_programs=told), tmp_path)


def test_what_was_submitted_is_written_as_it_was(tmp_path: Path) -> None:
    write_artifact(make_artifact(**SOURCES), tmp_path)
    assert written(tmp_path) == {*FULL, "load.py"}
    for path, text in FILES.items():
        assert (tmp_path / "source" / path).read_bytes() == text.encode()
    assert (tmp_path / "source/user_program.py").read_bytes() == str(SOURCES["program_code"]).encode()
    assert (tmp_path / "joined/0/user_program.py").read_bytes() == b"class Desk: ..."
    assert (tmp_path / "joined/0/helpers/text.py").read_bytes() == FILES["helpers/text.py"].encode()
    assert json.loads((tmp_path / "joined.json").read_text()) == {
        "programs": [
            {"job_id": "one", "arguments": {"class": "Desk"}},
            {"job_id": "two", "arguments": {"module": "dspy.Predict"}},
        ],
        "kwargs": {"size": 2},
    }
    verify_directory(tmp_path)


def test_writing_another_program_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    write_artifact(make_artifact(**SOURCES), tmp_path)
    write_artifact(make_artifact(signature_code="class S: ..."), tmp_path)
    assert written(tmp_path) == {
        *("program.pkl", "program.json", "prompt.md", "metadata.json", "manifest.json", "load.py"),
        "source/user_signature.py",
    }


def test_a_folder_of_that_name_that_is_not_ours_keeps_its_files(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/mine.py").write_text("mine")
    with pytest.raises(DamagedArtifact, match=r"source/mine\.py"):
        write_artifact(make_artifact(**SOURCES), tmp_path)
    assert written(tmp_path) == {"source/mine.py"}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../outside.py",
            "/etc/passwd",
            "a/../../outside.py",
            "",
            ".",
            "..",
            "a//b.py",
            "a/./b.py",
            "a/",
            "/a",
            "...",
        ),
        *(
            "a\\b.py",
            "C:evil.py",
            "a\0b.py",
            "a\nb.py",
            "user_program.py",
            "user_signature.py",
            "x" * 256,
            "\ud800.py",
            " ",
        ),
    ],
)
def test_a_file_with_an_odd_path_is_refused_and_nothing_is_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(DamagedArtifact, match="odd path"):
        write_artifact(make_artifact(**SOURCES | {"program_files": {path: "x"}}), tmp_path / "program")
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize("name", ["program_code", "signature_code", "program_files"])
def test_sources_that_arrive_other_than_the_service_recorded_are_refused(tmp_path: Path, name: str) -> None:
    said = {
        "digests": {
            "program.py": sha256(str(SOURCES["program_code"])),
            "signature.py": sha256("class Ü(dspy.Signature): ...\n"),
        },
        "submitted_digests": {f"program_files/{path}": sha256(text) for path, text in FILES.items()},
    }
    write_artifact(make_artifact(**SOURCES | said), tmp_path / "good")
    other = {"helpers/text.py": "import evil"} if name == "program_files" else "import evil"
    with pytest.raises(DamagedArtifact, match="source/"):
        write_artifact(make_artifact(**SOURCES | said | {name: other}), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("name", ["source/evil.py", "source/helpers/evil.py", "source/dspy/__init__.py"])
def test_a_file_among_the_sources_that_nobody_submitted_is_noticed(tmp_path: Path, name: str) -> None:
    write_artifact(make_artifact(**SOURCES), tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("import evil")
    with pytest.raises(DamagedArtifact, match=name):
        verify_directory(tmp_path)


def test_links_among_the_sources_are_never_followed(tmp_path: Path) -> None:
    mine, target = tmp_path / "mine", tmp_path / "target"
    mine.mkdir()
    target.mkdir()
    (target / "source").symlink_to(mine)
    write_artifact(make_artifact(**SOURCES), target)
    (target / "source/helpers/text.py").unlink()
    (target / "source/helpers").rmdir()
    (target / "source/helpers").symlink_to(mine)
    for refused in (verify_directory, partial(write_artifact, make_artifact(**SOURCES))):
        with pytest.raises(DamagedArtifact, match="source/helpers"):
            refused(target)
    assert list(mine.iterdir()) == []
    shutil.move(target / "source", tmp_path / "elsewhere")
    (target / "source").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedArtifact, match="source"):
        verify_directory(target)


def test_the_files_are_what_was_sent(tmp_path: Path) -> None:
    write_artifact(make_artifact(), tmp_path / "new" / "directory")
    written = {file.name for file in (tmp_path / "new" / "directory").iterdir()}
    assert written == {"program.pkl", "program.json", "prompt.md", "metadata.json", "manifest.json", "load.py"}
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
    verify_directory(tmp_path)
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


def test_a_program_that_cannot_be_pickled_has_its_other_files_alone(tmp_path: Path) -> None:
    write_artifact(make_artifact(), tmp_path)
    write_artifact(Artifact("p", None, metadata={}, program_state={"p": 2}), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"program.json", "metadata.json", "manifest.json", "load.py"}


@pytest.mark.parametrize("name", ["program.pkl", "prompt.md"])
def test_what_arrives_other_than_the_service_recorded_is_refused(tmp_path: Path, name: str) -> None:
    files = artifact_files(make_artifact())
    digests = {known: f"sha256:{digest}" for known, digest in digests_of(files).items()}
    write_artifact(make_artifact(digests=digests), tmp_path / "good")
    with pytest.raises(DamagedArtifact, match=name):
        write_artifact(make_artifact(digests=digests | {name: f"sha256:{'0' * 64}"}), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_links_in_the_target_are_replaced_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    target = tmp_path / "target"
    target.mkdir()
    for name in (*NAMES, "manifest.json"):
        (target / name).symlink_to(tmp_path / "mine")
    write_artifact(make_artifact(**SOURCES), target)
    assert (tmp_path / "mine").read_text() == "mine"
    verify_directory(target)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside", "outside"])
def test_a_manifest_names_no_file_but_ours(tmp_path: Path, name: str) -> None:
    """A pipe: whoever opened it would wait for ever."""
    target = tmp_path / "target"
    write_artifact(make_artifact(), target)
    os.mkfifo(tmp_path / "outside")
    os.mkfifo(target / "outside")
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (target / "manifest.json").write_text(json.dumps(manifest))
    verify_directory(target)


@pytest.mark.parametrize("name", FULL)
def test_what_is_no_plain_file_is_never_read(tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()):
        target = tmp_path / str(len(list(tmp_path.iterdir())))
        write_artifact(make_artifact(**SOURCES), target)
        (target / name).unlink()
        make(target / name)
        with pytest.raises(DamagedArtifact):
            verify_directory(target)
