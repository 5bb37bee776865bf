import pytest

from dspy_service import Retries

RETRIES = Retries(attempts=4, first_wait=1, longest_wait=3)


@pytest.mark.parametrize(
    ("attempt", "status", "asked", "wait"),
    [
        (1, None, None, 1),
        (2, None, None, 2),
        (3, None, None, 3),
        (4, None, None, None),
        (1, 503, None, 1),
        (1, 503, 2, 2),
        (1, 503, 600, 3),
        (1, 200, None, None),
        (1, 404, None, None),
        (1, 422, None, None),
        (1, 500, None, None),
    ],
)
def test_waits(attempt: int, status: int | None, asked: float | None, wait: float | None) -> None:
    assert RETRIES.wait(attempt, status, asked) == wait
