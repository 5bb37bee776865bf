import base64
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given, strategies as st

from dspy_service_runner.redaction import MARK, Redactor, secrets_of

KEY = 'sk-canary/"ü\\0123+456='
CREDENTIALS = {
    "base_url": "https://user:canary-password@host/v1?api-version=canary-query-1",
    "extra": {"headers": {"Authorization": "Bearer canary-bearer-token"}, "nested": [{"api_key": "canary-nested"}]},
}


@pytest.fixture
def redactor() -> Redactor:
    environ = {
        "DSPY_SERVICE_KEY_DEFAULT": KEY,
        "DSPY_SERVICE_KEY_TASK": "short",
        "DSPY_SERVICE_CREDENTIALS_REFLECTION": orjson.dumps(CREDENTIALS).decode(),
        "DSPY_SERVICE_CREDENTIALS_PROMPT": "canary-not-json",
        "OTHER": "unrelated-value",
    }
    return Redactor(secrets_of(environ))


FORMS = [
    KEY,
    orjson.dumps(KEY).decode()[1:-1],
    repr(KEY)[1:-1],
    quote(KEY, safe=""),
    quote_plus(KEY),
    base64.b64encode(KEY.encode()).decode(),
    base64.urlsafe_b64encode(KEY.encode()).decode(),
    "canary-password",
    "canary-query-1",
    "canary-bearer-token",
    "canary-nested",
    "canary-not-json",
    base64.b64encode(b"canary-bearer-token").decode(),
    base64.b64encode(b"user:canary-password").decode(),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_in_any_form_is_taken_out_of_text(redactor: Redactor, form: str) -> None:
    text = redactor.text(f"Error: key={form}; retry")
    assert MARK in text
    assert form not in text
    assert text.startswith("Error: key=")
    assert redactor.finds(f"x{form}x".encode())


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"user:", b"user::"])
def test_a_key_within_base64_of_something_longer(redactor: Redactor, before: bytes) -> None:
    encoded = base64.b64encode(before + b"canary-bearer-token" + b":more").decode()
    assert redactor.finds(encoded.encode())
    assert MARK in redactor.text(encoded)


def test_all_strings_of_a_document(redactor: Redactor) -> None:
    value = {"canary-nested": ["x canary-nested", 1, None, True, {"a": KEY}]}
    assert redactor.json(value) == {MARK: [f"x {MARK}", 1, None, True, {"a": MARK}]}


def test_a_number_that_is_a_key() -> None:
    redactor = Redactor(["1234567890"])
    assert redactor.json({"a": 1234567890, "b": 5}) == {"a": MARK, "b": 5}


@pytest.mark.parametrize("text", ["unrelated-value", "short", "", "host/v1", "ollama"])
def test_other_text_stays(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_lines_of_a_key_of_several_lines() -> None:
    pem = "-----BEGIN-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END-----"
    redactor = Redactor(secrets_of({"DSPY_SERVICE_KEY_DEFAULT": pem}))
    assert redactor.text("MIIEvQIBADANBgkqh") == MARK
    assert redactor.text(pem) == MARK


def test_a_job_without_keys() -> None:
    redactor = Redactor(secrets_of({}))
    assert redactor.text("anything") == "anything"
    assert not redactor.finds(b"anything")


@given(st.text(min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    if secret in MARK:
        return
    assert secret not in redactor.text(before + secret + after).replace(MARK, "\0")
    assert redactor.json(before + secret + after) == redactor.text(before + secret + after)


SECRET_VALUES = {
    "DSPY_SERVICE_SECRET_TOKEN": "canary-of-a-tool",
    "DSPY_SERVICE_SECRET_PIN": "12345678901",
    "DSPY_SERVICE_SECRET_ACCOUNT": '{"type": "account", "private_key": "-----BEGIN-----\\ncanary-line-of-pem\\n"}',
    "DSPY_SERVICE_SECRET_DB": "postgres://reader:canary-db-password@db:5432/x",
    "DSPY_SERVICE_SECRET_PEM": "-----BEGIN KEY-----\ncanary-first-line\ncanary-second-line\n-----END KEY-----\n",
}


@pytest.mark.parametrize(
    "form",
    [
        "canary-of-a-tool",
        base64.b64encode(b"canary-of-a-tool").decode(),
        "12345678901",
        "canary-line-of-pem",
        "canary-db-password",
        "canary-second-line",
        quote("postgres://reader:canary-db-password@db:5432/x", safe=""),
    ],
)
def test_a_secret_of_the_jobs_code_and_what_it_consists_of(form: str) -> None:
    redactor = Redactor(secrets_of(SECRET_VALUES))
    assert form not in redactor.text(f"it said {form}!")
    assert MARK in redactor.text(f"it said {form}!")


def test_a_number_that_is_a_secret_is_none_in_json() -> None:
    assert Redactor(secrets_of(SECRET_VALUES)).json({"pin": 12345678901, "n": 5}) == {"pin": MARK, "n": 5}
