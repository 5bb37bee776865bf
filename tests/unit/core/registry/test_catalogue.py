"""The committed catalogue against the installed dspy."""

import inspect
from importlib import import_module
from typing import Any

import dspy
import pytest

from dspy_service_core.checks import kwargs_rules
from dspy_service_core.registry.catalogue import Asset, OptimizerAsset, Parameter, bundled
from dspy_service_core.resource.words import resource_words
from dspy_service_runner.introspect import introspect
from dspy_service_runner.introspect.docstrings import meanings

ASSETS = [*bundled().modules, *bundled().optimizers]


def load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def accepted(function: Any) -> set[str]:
    return {name for name in inspect.signature(function).parameters if name != "self"}


def test_is_fresh() -> None:
    introspect.main(["--check"])


def test_is_written_alike_each_time() -> None:
    assert introspect.rendered(introspect.of_dspy()) == introspect.rendered(introspect.of_dspy())


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.path)
def test_every_path_leads_to_the_class(asset: Asset) -> None:
    original = load(asset.path)

    for path in asset.paths:
        if path not in introspect.README_PATHS.values():
            assert load(path) is original


@pytest.mark.parametrize("asset", bundled().optimizers, ids=lambda asset: asset.path)
def test_every_keyword_argument_exists(asset: OptimizerAsset) -> None:
    cls = load(asset.path)
    takers = [*cls.__mro__, *([passed_on] if (passed_on := introspect.PASSED_ON.get(cls)) else [])]
    bases = [taker.__init__ for taker in takers if "__init__" in vars(taker)]

    assert asset.init.names() <= set().union(*map(accepted, bases))
    assert asset.compile.names() <= accepted(cls.compile)


def test_the_issue_s_optimizers_are_in_it() -> None:
    paths = {asset.path for asset in bundled().optimizers}
    wanted = ["MIPROv2", "GEPA", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch", "COPRO", "SIMBA"]

    assert {f"dspy.{name}" for name in [*wanted, "LabeledFewShot", "InferRules"]} <= paths


def test_a_swallowed_keyword_argument_is_none_that_is_taken() -> None:
    """COPRO takes `**_kwargs` and throws them away."""
    (copro,) = [asset for asset in bundled().optimizers if asset.path == "dspy.COPRO"]

    assert not copro.init.further
    assert copro.init.find("num_threads") is None


def test_keyword_arguments_that_go_to_the_base() -> None:
    (infer_rules,) = [asset for asset in bundled().optimizers if asset.path == "dspy.InferRules"]

    assert {"num_rules", "max_bootstrapped_demos", "metric"} <= infer_rules.init.names()
    assert not infer_rules.init.further


@pytest.mark.parametrize(
    ("types", "choices", "value", "expected"),
    [
        (("int",), (), 3, True),
        (("int",), (), 3.0, False),
        (("int",), (), True, False),
        (("int",), (), None, False),
        (("int", "null"), (), None, True),
        (("float",), (), 3, True),
        (("float",), (), "3", False),
        (("bool",), (), 1, False),
        (("str", "null"), ("light",), "light", True),
        (("str", "null"), ("light",), "lite", False),
        (("str", "null"), ("light",), None, True),
        (("list",), (), [1], True),
        (("object", "null"), (), {}, False),
        ((), (), {"anything": 1}, True),
    ],
)
def test_plausible(types: Any, choices: Any, value: Any, expected: bool) -> None:
    assert Parameter(name="x", kind="keyword", types=types, choices=choices).takes(value) is expected


def test_defaults_are_plausible_themselves() -> None:
    for asset in ASSETS:
        for parameter in asset.init.parameters:
            if not parameter.required and parameter.from_json and parameter.default is not None:
                assert parameter.takes(parameter.default), (asset.path, parameter)


def test_what_the_service_sets_is_reserved() -> None:
    needed = {
        "metric",
        "trainset",
        "valset",
        "student",
        "teacher",
        "log_dir",
        "reflection_lm",
        "prompt_model",
        "task_model",
    }

    assert needed <= kwargs_rules.reserved(resource_words).keys()


def test_an_operator_s_own_optimizer(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_optimizers.py").write_text(
        "import dspy\nfrom dspy.teleprompt import Teleprompter\n"
        "class Annealer(Teleprompter):\n"
        "    def __init__(self, metric, steps: int = 5, mood: 'str | None' = None): ...\n"
        "    def compile(self, student, *, trainset, cooling: float = 0.5): ...\n"
        "class Wide(dspy.MIPROv2):\n"
        "    def __init__(self, width: int, **kwargs): super().__init__(**kwargs)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    output = tmp_path / "acme.json"

    introspect.main(["acme_optimizers.Annealer", "acme_optimizers.Wide", "--output", str(output)])
    introspect.main(["acme_optimizers.Annealer", "acme_optimizers.Wide", "--output", str(output), "--check"])

    written = introspect.of_paths(["acme_optimizers.Annealer", "acme_optimizers.Wide"])
    annealer, wide = written.optimizers
    assert [(p.name, p.types) for p in annealer.init.parameters][1:] == [("steps", ("int",)), ("mood", ("str", "null"))]
    assert annealer.compile.find("cooling") is not None
    assert {"width", "auto", "num_candidates"} <= wide.init.names()


def test_arguments_mean_what_dspy_says_of_them() -> None:
    found = {asset.path: {p.name: p.description for p in asset.init.parameters} for asset in bundled().optimizers}

    assert found["dspy.GEPA"]["seed"] == "The random seed to use for reproducibility.", "its default is told elsewhere"
    assert found["dspy.GEPA"]["candidate_selection_strategy"].endswith('Options: "pareto", "current_best".')
    assert found["dspy.SIMBA"]["num_candidates"] == "Number of new candidate programs to produce per iteration."
    assert found["dspy.MIPROv2"]["num_candidates"] == "", "another one's words are not its own"
    demos = "Maximum number of labeled demonstrations to include."
    for name in (*(cls.__name__ for cls in introspect.HANDED_ON), "BootstrapFewShot", "InferRules", "KNNFewShot"):
        assert found[f"dspy.{name}"]["max_labeled_demos"] == demos
    compiled = {asset.path: asset.compile for asset in bundled().optimizers}
    assert compiled["dspy.GEPA"].parameters[0].description == "The student module to optimize."


def test_what_is_handed_on_is_what_the_other_optimizer_takes() -> None:
    """Their sources name dspy.BootstrapFewShot, and its arguments by their own names."""
    for cls in introspect.HANDED_ON:
        assert not meanings(cls.__doc__, cls.__init__.__doc__), f"{cls.__name__} says itself what they mean"
        source = inspect.getsource(inspect.getmodule(cls))
        assert "BootstrapFewShot(" in source or "create_n_fewshot_demo_sets(" in source


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (None, {}),
        ("Nothing of arguments.", {}),
        ("Args:\n", {}),
        ("One.\n\nArgs:\n    a: First\n        line.\n    b (int, optional): Second.\n\n    No more.\n\nNote:\n  c: x",
         {"a": "First line.", "b": "Second."}),
        ("Parameters:\n- a: First.\n- **b: Second. Defaults to 0.5. Or so.\n", {"a": "First.", "b": "Second. Or so."}),
        ("So.\n\nArguments:\n    a: First.\n\n        Note: none.\n\n    b: Second.", {"a": "First.", "b": "Second."}),
        ("One.\n\nArgs:\n    a: " + "\n" * 5000 + "x", {}),
    ],
)  # fmt: skip
def test_what_docstrings_say_of_arguments(document: str | None, found: dict[str, str]) -> None:
    assert meanings(document) == found


def test_a_path_that_leads_nowhere() -> None:
    with pytest.raises(SystemExit, match="cannot be imported"):
        introspect.main(["dspy.NoSuchThing"])
    with pytest.raises(SystemExit, match="is neither"):
        introspect.main(["dspy.Example"])


def test_avatar_fails_as_the_rules_say() -> None:
    with pytest.raises(AttributeError, match="TypedPredictor"):
        dspy.AvatarOptimizer(metric=lambda gold, pred: 1)
