"""What a job's failure says when its metric raised: advice about keys only where a judge's model had none, or a wrong
one."""

import pytest
from dspy.utils.exceptions import LMAuthError, LMInvalidRequestError, LMNotConfiguredError

from dspy_service_runner.optimizer.user_code.metrics.metric import failure_from

ADVICE = "by the request's field model_configs"


def caused(cause: Exception) -> Exception:
    error = RuntimeError("the judge did not answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        LMAuthError("no such key", status=401),
        LMNotConfiguredError("no API key found"),
        LMInvalidRequestError("Incorrect API key provided", status=400),
        caused(LMAuthError("no such key", status=401)),
    ],
    ids=["401", "none", "400 that means a key", "behind another error"],
)
def test_a_judge_without_a_key_is_told_where_keys_go(error: Exception) -> None:
    assert ADVICE in failure_from(error).message


@pytest.mark.parametrize(
    "error",
    [
        LMInvalidRequestError("max_tokens is too high", status=400),
        LMAuthError("the input was flagged", status=403),
        ValueError("Incorrect API key provided"),
    ],
    ids=["400", "403 that refuses a text", "the metric's own"],
)
def test_other_errors_get_no_advice_about_keys(error: Exception) -> None:
    assert ADVICE not in failure_from(error).message
