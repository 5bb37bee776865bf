"""What browsers are given: pinned, small, and the same for everybody."""

import gzip
import re
from hashlib import sha256
from importlib.resources import files

import pytest

import dspy_service_api.page
from api_service import Harness
from dspy_service_api.page import static

ROOT = files(dspy_service_api.page) / "static"
VENDORED = re.findall(
    r"\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]{64})` \| (\S+) \|", (ROOT / "vendor" / "VENDORED.md").read_text()
)
MOST_SCRIPT_BYTES = 100_000


def test_everything_vendored_is_pinned_and_has_a_licence() -> None:
    assert {name for name, *_ in VENDORED} == {
        each.name for each in (ROOT / "vendor").iterdir() if each.name.endswith((".js", ".css"))
    }
    for name, package, digest, licence in VENDORED:
        assert sha256((ROOT / "vendor" / name).read_bytes()).hexdigest() == digest, name
        assert "@" in package
        assert licence in ("0BSD", "MIT")
    licences = [each.read_text() for each in (ROOT / "vendor").iterdir() if each.name.endswith("LICENSE")]
    assert all("Permission" in each for each in licences)
    assert len(licences) == 2


def test_scripts_are_small() -> None:
    scripts = [file.content for name, file in static.found().items() if name.endswith(".js")]
    assert sum(len(gzip.compress(content)) for content in scripts) < MOST_SCRIPT_BYTES


async def test_a_browser_keeps_them_for_good_under_their_digest(api: Harness) -> None:
    for name in static.found():
        answer = await api.client.get(static.address(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    other = await api.client.get(f"/page/static/{'0' * 16}/page.css")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["x/none.js", "x/VENDORED.md", "x/..%2F__init__.py"])
async def test_nothing_else_is_served(api: Harness, path: str) -> None:
    assert (await api.client.get(f"/page/static/{path}")).status_code == 404


def test_no_script_or_style_of_ours_is_inline_and_none_comes_from_elsewhere() -> None:
    for template in (files(dspy_service_api.page) / "templates").iterdir():
        text = template.read_text()
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), template.name
        assert not re.search(r"(?:src|href|action)=\"https?:", text), template.name
        assert "|safe" not in text
