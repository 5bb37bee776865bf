"""What is below a prefix, and what only begins like it: images, URIs and dotted names."""

import pytest

from dspy_service_core.registry.prefixes import dotted_is_below, image_is_below, uri_is_below

DIGEST = "@sha256:" + "0" * 64
HOST = "registry.example.org"


@pytest.mark.parametrize(
    ("image", "prefix"),
    [
        (f"{HOST}/team", f"{HOST}/team"),
        (f"{HOST}/team:1.2", f"{HOST}/team"),
        (f"{HOST}/team{DIGEST}", f"{HOST}/team"),
        (f"{HOST}/team:1{DIGEST}", f"{HOST}/team"),
        (f"{HOST}/team/runner", f"{HOST}/team"),
        (f"{HOST}/team/runner:1{DIGEST}", f"{HOST}/team"),
        (f"{HOST}/team/runner:1", f"{HOST}/team/"),
        (f"{HOST}/team/runner", f"{HOST}/"),
        (f"{HOST}/team/runner", HOST),
        (f"{HOST}:5000/team/a_b/c-d:x", f"{HOST}:5000"),
        (f"{HOST}/team/runner:1", f"{HOST}/team/runner:1"),
        (f"{HOST}/team/runner:1{DIGEST}", f"{HOST}/team/runner:1"),
        (f"{HOST}/team/runner:v2", f"{HOST}/team/runner:"),
        (f"{HOST}/team/runner{DIGEST}", f"{HOST}/team/runner@"),
        ("acme/runner:1", "acme/"),
        ("runner:1", "runner"),
    ],
)
def test_images_below(image: str, prefix: str) -> None:
    assert image_is_below(image, ["other.example.org", prefix])


@pytest.mark.parametrize(
    ("image", "prefix"),
    [
        (f"{HOST}/team-evil", f"{HOST}/team"),
        (f"{HOST}/team-evil/runner:1", f"{HOST}/team"),
        (f"{HOST}/team.evil", f"{HOST}/team"),
        (f"{HOST}/team_evil", f"{HOST}/team"),
        (f"{HOST}/team2", f"{HOST}/team"),
        (f"{HOST}.evil.org/team", HOST),
        (f"{HOST}-evil.org/team", HOST),
        (f"{HOST}:5000/team", HOST),
        (f"{HOST}:50000/team", f"{HOST}:5000"),
        (f"{HOST}@evil.org/team", HOST),
        (f"{HOST}:x@evil.org/team", HOST),
        (f"{HOST}:5000/team", f"{HOST}:"),
        (f"{HOST}/team/../evil", f"{HOST}/team"),
        (f"{HOST}/team/./x", f"{HOST}/team"),
        (f"{HOST}/team//evil", f"{HOST}/team"),
        (f"{HOST}/team/%2e%2e/evil", f"{HOST}/team"),
        (f"{HOST}/team/", f"{HOST}/team"),
        (f"{HOST}/team:1 evil", f"{HOST}/team"),
        (f"{HOST}/team:1\n", f"{HOST}/team"),
        (f"{HOST}/team:", f"{HOST}/team"),
        (f"{HOST}/team@sha256:12", f"{HOST}/team"),
        (f"{HOST}/team/runner:12", f"{HOST}/team/runner:1"),
        (f"{HOST}/Team", f"{HOST}/team"),
        (f"https://{HOST}/team", HOST),
        (f"evil.org/{HOST}/team", f"{HOST}/team"),
        ("", ""),
        (f"{HOST}/team", ""),
    ],
)
def test_images_that_only_begin_so(image: str, prefix: str) -> None:
    assert not image_is_below(image, [prefix])


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [
        ("s3://data", "s3://data"),
        ("s3://data/rows.csv", "s3://data"),
        ("s3://data/rows.csv", "s3://data/"),
        ("s3://data/team/rows-2.csv", "s3://data/team"),
        ("https://data.example.org:8443/x?version=1", "https://data.example.org:8443"),
        ("https://data.example.org/x//y", "https://data.example.org/x"),
        ("file:///data/ä/rows.jsonl", "file:///data"),
    ],
)
def test_uris_below(uri: str, prefix: str) -> None:
    assert uri_is_below(uri, ["s3://other", prefix])


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [
        ("s3://database/rows.csv", "s3://data"),
        ("s3://data-evil/rows.csv", "s3://data"),
        ("s3://data/team-evil/rows.csv", "s3://data/team"),
        ("s3://data/team/../evil", "s3://data/team"),
        ("s3://data/team/./../evil", "s3://data/team"),
        ("s3://data/team/..", "s3://data/team"),
        ("s3://data/team/%2e%2e/evil", "s3://data/team"),
        ("s3://data/team/%2E./evil", "s3://data/team"),
        ("https://data.example.org/team/..;x=1/evil", "https://data.example.org/team"),
        ("https://data.example.org/team/..\\evil", "https://data.example.org/team"),
        ("https://data.example.org.evil.org/x", "https://data.example.org"),
        ("https://data.example.org@evil.org/x", "https://data.example.org"),
        ("https://data.example.org:x@evil.org/x", "https://data.example.org"),
        ("https://data.example.org:8443/x", "https://data.example.org"),
        ("https://user@data.example.org/x", "https://data.example.org"),
        ("https:///data.example.org/x", "https://data.example.org"),
        ("HTTPS://data.example.org/x", "https://data.example.org"),
        ("https://DATA.example.org/x", "https://data.example.org"),
        ("http://data.example.org/x", "https://data.example.org"),
        ("https://data.example.org/x#y", "https://data.example.org"),
        ("https://[data.example.org/x", "https://[data.example.org"),
        ("s3://data/x?y=/../evil", "s3://data"),
        ("s3://data/x\ty", "s3://data"),
        ("s3://data/x\x00y", "s3://data"),
        ("s3://data/x", ""),
    ],
)
def test_uris_that_only_begin_so(uri: str, prefix: str) -> None:
    assert not uri_is_below(uri, [prefix])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme.x", True),
        ("acme.x.y", True),
        ("acme", False),
        ("acmex.y", False),
        ("acme_x.y", False),
        ("x.acme.y", False),
    ],
)
def test_dotted_names(name: str, expected: bool) -> None:
    assert dotted_is_below(name, ["other", "acme"]) is expected
