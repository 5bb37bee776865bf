"""The programs that an ensemble joins, as a job carries them, and what is read in their code."""

import re
from typing import Any

import pytest

from dspy_service_core.programs.joined import JoinedProgram, mentioned, named_models, read_joined

STATE: dict[str, Any] = {"predict": {}}
WHOLE = {"program_state": STATE, "program_code": "x = 1", "arguments": {"class": "Desk"}, "more": 1}


def program(code: str, **changes: Any) -> JoinedProgram:
    return JoinedProgram.model_validate({**WHOLE, "program_code": code, **changes})


def test_those_of_artifacts_are_read_as_they_are() -> None:
    plain = {
        "program_state": STATE,
        "signature_code": "y = 1",
        "arguments": {"module": "dspy.Predict", "kwargs": {"n": 2}},
    }
    first, second = read_joined([WHOLE, plain])
    assert (first.arguments.class_name, first.arguments.adapter, dict(first.files)) == ("Desk", "chat", {})
    assert (second.program_code, second.arguments.module, second.arguments.kwargs) == (None, "dspy.Predict", {"n": 2})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, ": Input should be a valid list"),
        ([WHOLE], ": 1 programs, and 2 to 16 can be joined"),
        ([WHOLE] * 17, ": 17 programs, and 2 to 16 can be joined"),
        ([WHOLE, {"program_state": STATE}], "[1].arguments: Field required"),
        ([WHOLE, WHOLE | {"program_state": []}], "[1].program_state: Input should be a valid dictionary"),
        ([WHOLE, WHOLE | {"program_code": None}], "[1]: it holds neither program_code nor signature_code"),
        (
            [WHOLE, WHOLE | {"program_files": {"../x.py": ""}}],
            "[1].program_files['../x.py']: paths are plain and relative",
        ),
    ],
)
def test_what_is_none_is_named(document: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_joined(document)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f():\n    return models['judge']", {"judge"}),
        ("lm = models['a'] or models[\"b\"]", {"a", "b"}),
        ("lm = models[name]", set()),
        ("models = {'mine': 1}\nlm = models['mine']", set()),
        ("def f(models):\n    return models['theirs']", set()),
        ("from team import models\nlm = models['theirs']", set()),
        ("lm = models['judge'] if 'judge' in models else None", set()),
        ("# models['judge']", set()),
        ("models[", set()),
    ],
)
def test_models_that_its_code_asks_for(code: str, found: set[str]) -> None:
    assert named_models(program(code)) == found
    assert named_models(program("x = 1", program_files={"helpers/a.py": code, "data/a.txt": "models['no']"})) == found
    assert named_models(program("x = 1", signature_code=code)) == found


def test_names_that_stand_in_its_code() -> None:
    given = program("import os\nT = os.environ['SEARCH_TOKEN']", program_files={"a.txt": "OTHER", "a.py": "LAST_ONE"})
    assert mentioned(["SEARCH_TOKEN", "SEARCH", "OTHER", "LAST_ONE"], given) == ("SEARCH_TOKEN", "LAST_ONE")
