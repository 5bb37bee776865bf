from typing import Any

import pytest
from hypothesis import given, strategies as st

from dspy_service_core.checks.models import credentials


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "x-api-key", "API_KEY", "APIkey", "apikey", "APIKEY", "accessToken", "hf_token", "key"),
        *("client-secret", "password", "Authorization", "aws_secret_access_key", "credential", "vertex_credentials"),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert credentials.is_credential_name(name)


@pytest.mark.parametrize(
    "name", ["monkey", "max_tokens", "keyboard", "tokenizer", "passwordless", "timeout", "secretary", ""]
)
def test_other_names(name: str) -> None:
    assert not credentials.is_credential_name(name)


def test_takes_out_strings_at_any_depth_and_leaves_the_rest() -> None:
    split = credentials.withhold(
        {
            "name": "m",
            "base_url": None,
            "extra": {
                "api_key": "K1",
                "timeout": 5,
                "max_tokens": 7,
                "token": 5,
                "deep": {"list": [{"accessToken": "K2", "x": 1}, "plain"]},
                "extra_headers": {"X-Anything": "K3", "n": 1},
                "secret": ["K4", {"any": "K5"}],
            },
        }
    )

    assert split.public == {
        "name": "m",
        "base_url": None,
        "extra": {
            "timeout": 5,
            "max_tokens": 7,
            "token": 5,
            "deep": {"list": [{"x": 1}, "plain"]},
            "secret": [None, {}],
        },
    }
    assert split.withheld == {
        "extra": {
            "api_key": "K1",
            "deep": {"list": [{"accessToken": "K2"}, None]},
            "extra_headers": {"X-Anything": "K3", "n": 1},
            "secret": ["K4", {"any": "K5"}],
        }
    }


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("https://user:pass@api.example.com:8443/v1", "https://api.example.com:8443/v1"),
        ("https://api.example.com/v1?api-key=K#frag", "https://api.example.com/v1"),
        ("http://a@b@host/v1", "http://host/v1"),
        ("http://[::1]:80/v1?x", "http://[::1]:80/v1"),
    ],
)
def test_base_url(url: str, public: str) -> None:
    split = credentials.withhold({"base_url": url})

    assert split.public["base_url"] == public
    assert split.withheld == ({} if url == public else {"base_url": url})


def test_nothing_to_withhold() -> None:
    config = {"name": "m", "base_url": "http://localhost:1/v1", "extra": {"seed": 1}}

    assert credentials.withhold(config) == credentials.Split(config, {})


def test_paths_name_each_credential() -> None:
    config = {
        "base_url": "http://u@h",
        "extra": {"api_key": "K", "list": [{"x": 1}, {"token": "K"}], "headers": {"A": "K"}},
    }

    assert list(credentials.config_paths(config, "model_config")) == [
        "model_config.base_url",
        "model_config.extra.api_key",
        "model_config.extra.list[1].token",
        "model_config.extra.headers.A",
    ]


NAMES = st.sampled_from(["api_key", "headers", "x", "y", "apiKey", "secret", "nested"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3).map("CANARY{}".format),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_merging_brings_back_what_was_there(extra: dict[str, Any]) -> None:
    config = {"name": "m", "base_url": "http://u:p@h/v1?k=1", "extra": extra}
    split = credentials.withhold(config)

    assert credentials.restored(split.public, split.withheld) == config


@given(st.dictionaries(st.sampled_from(["api_key", "extra_headers", "password"]), VALUES, max_size=4))
def test_no_text_below_a_credential_s_name_stays(extra: dict[str, Any]) -> None:
    assert "CANARY" not in repr(credentials.withhold({"extra": extra}).public)
