import json

import orjson
import pytest
from hypothesis import given, strategies as st

from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.errors import InvalidRequest
from dspy_service_core.json_text import not_a_number
from run_requests import run_request

NULL = "is not JSON: write null"


def problem(body: bytes) -> tuple[str, str, str]:
    with pytest.raises(InvalidRequest) as refused:
        parse_run_request(body)
    (found,) = refused.value.problems
    return found.field, found.message, found.type


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b'{"seed": NaN}', "seed", f"NaN {NULL}"),
        (b'{"seed":-NaN}', "seed", f"-NaN {NULL}"),
        (b'{"seed":\n\tInfinity}', "seed", f"Infinity {NULL}"),
        (b'{"optimizer_kwargs": {"auto": "light", "x": [1, -Infinity]}}', "optimizer_kwargs.x[1]", f"-Infinity {NULL}"),
        (b'{"dataset": [{"a": nan}]}', "dataset[0].a", f"nan {NULL}"),
        (b'{"dataset": [{"a": 1}, {"a": -inf}]}', "dataset[1].a", f"-inf {NULL}"),
        (b'{"seed": 1e999}', "seed", "1e999 is not JSON: write it as text"),
        (b"NaN", "body", f"NaN {NULL}"),
        ('{"é😀": "NaN", "b\\"]": [[{"NaN": "}"}], [NaN]]}'.encode(), 'b"][1][0]', f"NaN {NULL}"),
        (b'{"dataset": [{"a": NaN', "dataset[0].a", f"NaN {NULL}"),
    ],
)
def test_a_number_that_json_does_not_have_is_named_with_its_place(body: bytes, path: str, message: str) -> None:
    assert problem(body) == (path, message, "not_a_number")


@pytest.mark.parametrize("row", [0, 7, 4_999])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"deep": float("-inf")}]], ids=str)
def test_the_row_and_the_column_are_named(row: int, value: object) -> None:
    """As Python's own writer, and with it every client that uses it, sends them."""
    rows: list[dict[str, object]] = [{"text": 'a [ " NaN, {', "label": "b", "extra": 0.5} for _ in range(5_000)]
    rows[row] |= {"extra": value}
    path, message, _ = problem(json.dumps(run_request(dataset=rows)).encode())
    assert path.startswith(f"dataset[{row}].extra")
    assert "null" in message


PLAIN = st.none() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(['"', "]", "NaN"])
DOCUMENTS = st.recursive(
    PLAIN | st.just(float("nan")),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below, max_size=4),
)


def first_nan(value: object, path: str = "") -> str | None:
    if isinstance(value, list):
        return next((p for i, v in enumerate(value) if (p := first_nan(v, f"{path}[{i}]")) is not None), None)
    if isinstance(value, dict):
        places = ((v, f"{path}.{k}" if path else k) for k, v in value.items())
        return next((p for v, place in places if (p := first_nan(v, place)) is not None), None)
    return path if isinstance(value, float) else None


@given(DOCUMENTS)
def test_the_place_is_the_first_of_any_document(document: object) -> None:
    expected = first_nan(document)
    try:
        orjson.loads(json.dumps(document))
        found = None
    except orjson.JSONDecodeError as error:
        found = not_a_number(error)
    assert (found.path if found else None) == expected
