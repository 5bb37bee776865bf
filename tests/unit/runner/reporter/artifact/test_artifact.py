import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from deep_json import DEPTHS, nested
from dspy_service_core.errors import StoreError
from dspy_service_core.records.run import ArtifactRef
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store, open_store
from dspy_service_runner.redaction import MARK, Redactor
from dspy_service_runner.reporter.artifact.artifact import ArtifactUnusable, artifact_path, upload_artifact
from dspy_service_runner.reporter.artifact.submitted import Submitted
from dspy_service_runner.reporter.streams.out_folder import OutFolder

KEY = "sk-canary-0123456789"
REDACTOR = Redactor([KEY])
URL = "s3://bucket/some/prefix/ns/artifacts/id"
CONTENT = {
    "program.json": b'{"a": 1}',
    "program.pkl": b"\x80\x04" + os.urandom(3_000_000),
    "baseline.json": b'{"a": 0}',
    "knn.json": b'{"k": 3}',
    "messages.json": b'{"predictors": {}}',
    "prompt.md": b"# P",
    "metadata.json": b"{}",
}


SENT = {"signature.py": "class Ü: ...".encode(), "arguments.json": b'{"module": "dspy.Predict"}'}
SUBMITTED = Submitted(SENT, {"signature": "sha256:0"})


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Iterator[OutFolder]:
    folder = OutFolder.open(tmp_path)
    yield folder
    folder.close()


@pytest.fixture
def store() -> Store:
    return open_store("memory:///")


def test_files_and_manifest(artifact: Path, out: OutFolder, store: Store) -> None:
    reference = upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    manifest = store.get(pod_files.MANIFEST)
    for name, content in (CONTENT | SENT).items():
        assert store.get(name) == content
        record = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        assert orjson.loads(manifest)["files"][name] == record
    assert orjson.loads(manifest)["submitted"] == SUBMITTED.digests
    assert reference == ArtifactRef(
        path="ns/artifacts/id",
        bytes=sum(map(len, (CONTENT | SENT).values())),
        digest=f"sha256:{hashlib.sha256(manifest).hexdigest()}",
    )


@pytest.mark.parametrize("name", SENT)
def test_what_was_submitted_is_never_taken_from_the_optimizer(
    artifact: Path, out: OutFolder, store: Store, name: str
) -> None:
    (artifact / name).write_bytes(b"import evil")
    (artifact / "program.py").write_bytes(b"import evil")
    upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert store.get(name) == SENT[name]
    assert not store.exists("program.py")


def test_nothing_where_no_program_is(out: OutFolder, store: Store, tmp_path: Path) -> None:
    assert upload_artifact(out, store, REDACTOR, URL, SUBMITTED) is None
    (tmp_path / "artifact").mkdir()
    assert upload_artifact(out, store, REDACTOR, URL, SUBMITTED) is None
    (tmp_path / "artifact").rmdir()
    (tmp_path / "artifact").symlink_to("/etc")
    assert upload_artifact(out, store, REDACTOR, URL, SUBMITTED) is None
    assert store.files() == []


def test_keys_are_taken_out_of_texts(artifact: Path, out: OutFolder, store: Store) -> None:
    (artifact / "prompt.md").write_text(f"call with {KEY}\n")
    (artifact / "program.json").write_bytes(orjson.dumps({"lm": {"api_key": KEY}}))
    (artifact / "metadata.json").write_bytes(b'{"k": "\\u0073k-canary-0123456789"}')
    upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert store.get("prompt.md").decode() == f"call with {MARK}\n"
    assert orjson.loads(store.get("program.json")) == {"lm": {"api_key": MARK}}
    assert orjson.loads(store.get("metadata.json")) == {"k": MARK}


@pytest.mark.parametrize("place", [0, 1_048_570, 2_500_000])
def test_a_pickle_that_holds_a_key_is_withheld(artifact: Path, out: OutFolder, store: Store, place: int) -> None:
    content = bytearray(CONTENT["program.pkl"])
    content[place : place + len(KEY)] = KEY.encode()
    (artifact / "program.pkl").write_bytes(content)
    with pytest.raises(ArtifactUnusable) as caught:
        upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert caught.value.reason == "ArtifactHoldsKey"
    assert not store.exists("program.pkl")
    assert not store.exists(pod_files.MANIFEST)


def huge(path: Path) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("program.json", lambda path: path.write_bytes(b"{"), "ArtifactUnusable"),
    ("metadata.json", lambda path: path.write_bytes(b"\xff"), "ArtifactUnusable"),
    ("program.json", lambda path: path.write_bytes(b'{"a":' * 9999), "ArtifactUnusable"),
    *(("program.json", partial(Path.write_bytes, data=nested(depth)), "ArtifactUnusable") for depth in DEPTHS),
    ("prompt.md", huge, "ArtifactTooLarge"),
    ("program.pkl", huge, "ArtifactTooLarge"),
]


@pytest.mark.parametrize(("name", "spoil", "reason"), BAD)
def test_a_spoilt_file_is_no_artifact(
    artifact: Path, out: OutFolder, store: Store, name: str, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(artifact / name)
    with pytest.raises(ArtifactUnusable) as caught:
        upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert caught.value.reason == reason
    assert name in caught.value.message
    assert not store.exists(pod_files.MANIFEST)


def test_a_link_among_the_files_is_not_followed(artifact: Path, out: OutFolder, store: Store) -> None:
    link(artifact / "prompt.md")
    upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert "prompt.md" not in orjson.loads(store.get(pod_files.MANIFEST))["files"]
    assert not store.exists("prompt.md")


def test_text_that_is_no_utf_8_is_mended(artifact: Path, out: OutFolder, store: Store) -> None:
    (artifact / "prompt.md").write_bytes(b"a\xffb")
    upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert store.get("prompt.md").decode() == "a\ufffdb"


def test_a_store_that_fails_half_way_leaves_no_manifest(artifact: Path, out: OutFolder, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = open_store(f"file://{folder}")
    (folder / "prompt.md").mkdir()
    (folder / "prompt.md" / "x").touch()
    with pytest.raises(StoreError):
        upload_artifact(out, store, REDACTOR, URL, SUBMITTED)
    assert not store.exists(pod_files.MANIFEST)
    (folder / "prompt.md" / "x").unlink()
    (folder / "prompt.md").rmdir()
    assert upload_artifact(out, store, REDACTOR, URL, SUBMITTED)


@pytest.mark.parametrize("url", ["file:///store/ns/artifacts/id", "s3://bucket/ns/artifacts/id/", URL])
def test_the_path_below_the_stores_url(url: str) -> None:
    assert artifact_path(url) == "ns/artifacts/id"
