import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.rows.rows import read_rows
from dspy_service_runner.reporter.inputs.dataset import InvalidDataset, UsersFault, check_rows, write_rows
from dspy_service_runner.reporter.inputs.dataset_uri import SourceAway, check_allowed, fetch

ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "ü"}]

COLUMNS = {"inputs": {"question": "a"}, "outputs": {"answer": "b"}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1, "b": 2}, {"a": 1}], "Row 2 of the dataset has no column 'b', which columns.outputs.answer names."),
        ([{"b": 1}], "Row 1 of the dataset has no column 'a', which columns.inputs.question names."),
        ([5], "Row 1 of the dataset is not an object."),
        ([], "at least one row"),
    ],
)
def test_rows_that_cannot_be_used(rows: list[Any], message: str) -> None:
    with pytest.raises(InvalidDataset, match=message):
        list(check_rows(rows, COLUMNS))


def test_a_file_that_is_no_dataset_ends_the_job_with_the_readers_words() -> None:
    with pytest.raises(InvalidDataset, match="Row 2 of the dataset is not JSON") as caught:
        list(check_rows(read_rows("d.jsonl", b'{"a": 1, "b": 2}\n{'), COLUMNS))
    assert caught.value.reason == "InvalidDataset"


def test_rows_are_written_a_line_each(tmp_path: Path) -> None:
    write_rows(check_rows(ROWS, COLUMNS), tmp_path / "rows.jsonl")
    assert list(read_rows("rows.jsonl", tmp_path / "rows.jsonl")) == ROWS


PREFIXES = ("s3://data/team", "https://host/sets/", "file:///data")


@pytest.mark.parametrize("uri", ["s3://data/team/x.csv", "https://host/sets/a/b.json", "file:///data/x.jsonl"])
def test_allowed(uri: str) -> None:
    check_allowed(uri, PREFIXES)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://data/teams/x.csv",
        "s3://data/other.csv",
        "s3://data/team/../other.csv",
        "s3://data/team/./x.csv",
        "https://host/sets/%2e%2e/x",
        "https://host/sets/..\\x",
        "https://host.evil/sets/x",
        "http://host/sets/x",
        "https://host/sets/a b",
        "https://host/sets/..;v=1/x",
        "https://host/sets/x#y",
        "https://host/sets/x\x07",
        "s3://data/team/x.csv?y=/../../other.csv",
        "file:///database/x",
        "file:///data/../etc/passwd",
        "/data/x",
        "",
    ],
)
def test_not_allowed(uri: str) -> None:
    with pytest.raises(UsersFault, match="not below an allowed prefix") as caught:
        check_allowed(uri, PREFIXES)
    assert caught.value.reason == "UriNotAllowed"


def test_a_scheme_that_nobody_reads() -> None:
    with pytest.raises(UsersFault, match="begins with one of"):
        check_allowed("ftp://host/x", ("ftp://host",))


def test_without_prefixes_nothing_is_allowed() -> None:
    with pytest.raises(UsersFault, match=r"\(none\)"):
        check_allowed("file:///x", ())


class Local:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.folder.mkdir()
        self.into = folder / "fetched"
        (self.folder / "x.csv").write_bytes(b"content")

    def fetch(self, name: str = "x.csv", digest: str = "", limit: int = 100) -> bytes:
        fetch(f"file://{self.folder}/{name}", digest, self.into, (f"file://{self.folder}",), limit)
        return self.into.read_bytes()


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(tmp_path)


def test_a_local_file(local: Local) -> None:
    digest = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert local.fetch(digest=digest) == local.fetch() == b"content"


def test_another_digest_than_asked_for(local: Local) -> None:
    with pytest.raises(UsersFault) as caught:
        local.fetch(digest=f"sha256:{'0' * 64}")
    assert caught.value.reason == "DigestMismatch"


def test_a_dataset_that_is_too_large(local: Local) -> None:
    with pytest.raises(InvalidDataset, match="larger than 3 bytes"):
        local.fetch(limit=3)


def test_a_dataset_that_is_missing(local: Local) -> None:
    with pytest.raises(UsersFault) as caught:
        local.fetch("none.csv")
    assert caught.value.reason == "DatasetNotFound"


def test_a_link_that_leads_out(local: Local) -> None:
    (local.folder / "link.csv").symlink_to("/etc/passwd")
    with pytest.raises(UsersFault, match="leads out"):
        local.fetch("link.csv")
    (local.folder / "inner.csv").symlink_to("x.csv")
    assert local.fetch("inner.csv") == b"content"


ANSWERS = {"/ok.csv": 200, "/none.csv": 404, "/moved.csv": 302, "/away.csv": 503, "/busy.csv": 429}


class Server(BaseHTTPRequestHandler):
    def __getattr__(self, name: str) -> Any:
        if name == "do_GET":
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        self.send_response(ANSWERS[self.path.partition("?")[0]])
        self.send_header("Location", "/ok.csv")
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"content")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_over_http(server: str, tmp_path: Path) -> None:
    fetch(f"{server}/ok.csv?version=1", "", tmp_path / "x", (server,), 100)
    assert (tmp_path / "x").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["none", "moved"])
def test_an_answer_that_stays_as_it_is(server: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsersFault):
        fetch(f"{server}/{name}.csv", "", tmp_path / "x", (server,), 100)


@pytest.mark.parametrize("name", ["away", "busy"])
def test_an_answer_that_may_change(server: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceAway):
        fetch(f"{server}/{name}.csv", "", tmp_path / "x", (server,), 100)


def test_a_server_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(SourceAway):
        fetch("http://127.0.0.1:1/x.csv", "", tmp_path / "x", ("http://127.0.0.1:1",), 100)
