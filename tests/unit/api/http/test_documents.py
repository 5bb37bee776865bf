"""The page of the OpenAPI document: whole without the internet, and with nothing in it that its policy must allow."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from api_service import Harness, api_service
from simple_acceptance import SimpleAcceptance

TYPES = {"js": "text/javascript", "css": "text/css"}


class Page(HTMLParser):
    """What it loads, and what stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self._inside = tag
        self.loads += [given[name] for name in ("src", "href") if given.get(name, "data:,") != "data:,"]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("mode", [{}, {"host": "0.0.0.0", "token": "s3cret"}])
async def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path, mode: dict[str, Any]) -> None:
    """Without a token too, as a browser has none to load it with."""
    async with api_service(tmp_path, SimpleAcceptance(), **mode) as api:
        answer = await api.client.get("/docs")
        page = Page(answer.text)
        assert answer.status_code == 200
        assert not page.inline
        assert len([name for name in page.loads if name.endswith(".js")]) == 2
        for name in page.loads:
            place = urljoin("http://localhost:8000/docs", name)
            assert urlsplit(place).netloc == "localhost:8000"
            loaded = await api.client.get(place)
            assert loaded.status_code == 200
            assert loaded.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
            assert len(loaded.content) > 50
        bundle = (await api.client.get("/docs/swagger-ui-bundle.js")).text
        assert "SwaggerUIBundle" in bundle


async def test_its_policy_allows_own_files_alone(api: Harness) -> None:
    policy = (await api.client.get("/docs")).headers["content-security-policy"]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed.pop("img-src") == "'self' data:"
    assert set(allowed.values()) == {"'none'", "'self'"}
    assert allowed["default-src"] == allowed["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "%2e%2e%2fapp.py", "redoc.standalone.js", "docs.html"])
async def test_no_other_file_is_served(api: Harness, name: str) -> None:
    assert (await api.client.get(f"/docs/{name}")).status_code == 404
