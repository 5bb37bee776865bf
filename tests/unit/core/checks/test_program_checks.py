"""What a program of the job's own is refused for, in a resource's words and without what is not at hand."""

from typing import Any

import pytest

from bad_programs import ACCEPTED, FORWARD, PREDICTOR, PROGRAM, REFUSED, program_request, program_rows
from dspy_service_api.submit.request_spec import WORDS, translated
from dspy_service_core.checks import job_checks
from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_checks import Contents, Installation
from dspy_service_core.contract.request import RunRequest
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry import registry
from dspy_service_core.resource.job import OptimizationJobSpec

HERE = Installation(registry.default())
BY_READING = {name: case for name, case in REFUSED.items() if case.status == 400}


def checked(body: dict[str, Any]) -> CheckedJob:
    job = translated(RunRequest.model_validate(body), {}, lambda: 0)
    return job_checks.check(job.spec, HERE, job.contents, WORDS)


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(changes: dict[str, Any]) -> None:
    assert checked(program_request(**changes)).module is None


@pytest.mark.parametrize("name", BY_READING)
def test_refused(name: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        checked(program_request(**REFUSED[name].changes))

    assert REFUSED[name].words in str(refused.value)


def test_what_is_found_out() -> None:
    job = checked(program_request(program_code=PROGRAM.replace("Predict", "ReAct").replace("')", "', tools=[])")))

    assert job.program is not None
    assert (job.program.name, job.predictors) == ("Sorter", 2)


def resource(**program: Any) -> OptimizationJobSpec:
    return OptimizationJobSpec.model_validate(
        {
            "program": {"code": PROGRAM} | program,
            "optimizer": {"name": "bootstrapfewshot"},
            "metric": {"code": "def metric(gold, pred, trace=None): return 1.0"},
            "dataset": {"rows": program_rows(20)},
            "models": {"default": {"name": "openai/gpt-4o-mini"}},
        }
    )


KEYED = {"configMapKeyRef": {"name": "programs", "key": "sorter.py"}}
IMPORTING = f"from helpers.missing import clean\n{PROGRAM}"
INIT = "helpers/__init__.py"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ({"name": "Other"}, "spec.program.name: 'Other' is no class in spec.program. Its modules: 'Sorter'."),
        ({"kwargs": {"x": 1}}, "no keyword argument 'x' (spec.program.kwargs)"),
        ({"code": PROGRAM.replace("self, text)", "self, question)")}, "spec.dataset has no column for 'question'"),
        (
            {"code": IMPORTING, "files": [{"path": INIT, "code": ""}]},
            "'helpers.missing', which is none of spec.program.f",
        ),
        (
            {"code": f"import helpers\n{PROGRAM}", "files": [{"path": INIT, "code": "x ="}]},
            f"spec.program.files['{INIT}'] has",
        ),
    ],
)
def test_a_resource_is_told_in_its_own_words(program: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        job_checks.check_resource(resource(**program), HERE)

    assert message in str(refused.value)


def test_what_is_not_at_hand_is_left_to_the_pod() -> None:
    spec = resource(code=None, **KEYED)

    assert job_checks.check_resource(spec, HERE).program is None
    assert job_checks.check_resource(spec, HERE, Contents(code={"program": PROGRAM})).program is not None


def test_an_import_of_a_file_that_is_not_at_hand_proves_nothing() -> None:
    files = [{"path": INIT, **KEYED}, {"path": "helpers/other.py", "code": "x ="}]

    assert job_checks.check_resource(resource(code=IMPORTING, files=files), HERE).program is not None
    with pytest.raises(UnusableRequest):
        job_checks.check_resource(resource(code=IMPORTING, files=files), HERE, Contents(files={INIT: ""}))


def test_arguments_of_a_program_may_have_any_name() -> None:
    """Those that the service gives to DSPy's modules and optimizers mean nothing to a program."""
    code = f"import dspy\nclass Sorter(dspy.Module):\n{PREDICTOR.replace('self)', 'self, signature, metric)')}{FORWARD}"

    job_checks.check_resource(resource(code=code, kwargs={"signature": "x", "metric": 1}), HERE)
