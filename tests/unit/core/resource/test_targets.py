import json

import dspy
import pytest

from dspy_service_core.registry import registry
from dspy_service_core.registry.catalogue import bundled
from dspy_service_core.registry.registry import UnknownName, build, targets_of
from dspy_service_core.registry.registry_file import RegistryFile
from dspy_service_core.resource.targets import Targets

FILE = RegistryFile.model_validate(
    {
        "optimizers": {
            "quick": {"path": "dspy.MIPROv2", "kwargs": {"auto": "light"}, "compile_kwargs": {"seed": None}}
        },
        "modules": {"deep": {"path": "acme.Triage", "kwargs": {"depth": 2}}},
        "allow": ["acme"],
    }
)


def test_an_alias_becomes_its_path_and_its_defaults() -> None:
    found = targets_of("deep", "quick", build(FILE, bundled()))
    assert json.loads(found.json_text()) == {
        "module": {"path": "acme.Triage", "kwargs": {"depth": 2}},
        "optimizer": {"path": "dspy.MIPROv2", "kwargs": {"auto": "light"}, "compileKwargs": {"seed": None}},
    }


def test_the_pod_reads_what_the_operator_wrote() -> None:
    found = targets_of("deep", "quick", build(FILE, bundled()))
    assert Targets.model_validate(json.loads(found.json_text())) == found


def test_an_allowed_path_stands_for_itself() -> None:
    assert targets_of("acme.own.Module", "dspy.GEPA", build(FILE, bundled())).module.path == "acme.own.Module"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("predict", dspy.Predict),
        ("cot", dspy.ChainOfThought),
        ("dspy.modules.ChainOfThought", dspy.ChainOfThought),
        ("dspy.predict.chain_of_thought.ChainOfThought", dspy.ChainOfThought),
    ],
)
def test_a_path_is_one_under_which_dspy_has_the_class(name: str, expected: type) -> None:
    path = targets_of(name, "gepa", registry.default()).module.path
    assert getattr(dspy, path.removeprefix("dspy.")) is expected


@pytest.mark.parametrize(("module", "optimizer"), [("nope", "gepa"), ("cot", "os.system")])
def test_what_nobody_allowed_has_no_target(module: str, optimizer: str) -> None:
    with pytest.raises(UnknownName, match=r"Unknown (module 'nope'|optimizer 'os.system')"):
        targets_of(module, optimizer, registry.default())
