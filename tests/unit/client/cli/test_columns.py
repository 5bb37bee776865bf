"""How columns are written on the command line."""

import pytest

from dspy_service.cli.sending.payload_file import split_columns


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a", {"a": "a"}),
        ("a,b", {"a": "a", "b": "b"}),
        ("a=x, b", {"a": "x", "b": "b"}),
        ("a=", {"a": None}),
        ("a=x,b=", {"a": "x", "b": None}),
        ("a==", {"a": "="}),
        ("", {}),
    ],
)
def test_columns(written: str, meant: dict[str, str | None]) -> None:
    assert split_columns(written) == meant
