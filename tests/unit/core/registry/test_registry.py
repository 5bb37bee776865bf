import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry import registry
from dspy_service_core.registry.registry import Registry
from dspy_service_core.registry.registry_file import RegistryError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "registry.yaml"
        path.write_text(text)
        return path

    return written


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cot", "dspy.ChainOfThought"),
        ("predict", "dspy.Predict"),
        ("dspy.ChainOfThought", "dspy.ChainOfThought"),
        ("dspy.modules.ChainOfThought", "dspy.ChainOfThought"),
        ("dspy.modules.Predict", "dspy.Predict"),
        ("dspy.predict.predict.Predict", "dspy.Predict"),
    ],
)
def test_modules(name: str, path: str) -> None:
    assert registry.default().modules.resolve(name).path == path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gepa", "dspy.GEPA"),
        ("miprov2", "dspy.MIPROv2"),
        ("dspy.GEPA", "dspy.GEPA"),
        ("dspy.teleprompt.GEPA", "dspy.GEPA"),
        ("dspy.teleprompt.gepa.gepa.GEPA", "dspy.GEPA"),
        ("dspy.BootstrapRS", "dspy.BootstrapFewShotWithRandomSearch"),
        ("simba", "dspy.SIMBA"),
        ("evaluate", "dspy_service_runner.optimizer.strategies.evaluate.Evaluate"),
    ],
)
def test_optimizers(name: str, path: str) -> None:
    assert registry.default().optimizers.resolve(name).path == path


@pytest.mark.parametrize(
    "name",
    ["os.system", "COT", "dspy", "dspy.", "dspy.LM", "dspy.nothing.Here", "gepa", "dspy.GEPA", "", "builtins.eval"],
)
def test_no_other_modules(name: str) -> None:
    with pytest.raises(UnusableRequest, match=r"Unknown module '.*'\. Allowed: cot, predict, or a dotted path"):
        registry.default().modules.resolve(name)


def test_health_lists_the_aliases() -> None:
    assets = registry.default().registered_assets()

    assert assets["modules"] == ["cot", "predict"]
    assert {"gepa", "miprov2", "evaluate"} <= set(assets["optimizers"])
    assert assets["optimizers"] == sorted(assets["optimizers"])


def test_aliases_of_a_file(write: Write) -> None:
    known = Registry.load(
        write(
            "modules:\n  cot: dspy.ProgramOfThought\n  triage: {path: acme.modules.Triage, kwargs: {depth: 2}}\n"
            "optimizers:\n  quick: {path: dspy.teleprompt.MIPROv2, kwargs: {auto: light},\n"
            "          compile_kwargs: {minibatch: false}}\n"
        )
    )

    quick, triage = known.optimizers.resolve("quick"), known.modules.resolve("triage")
    assert known.modules.resolve("cot").path == "dspy.ProgramOfThought"
    assert (triage.path, triage.asset) == ("acme.modules.Triage", None)
    assert quick.path == "dspy.MIPROv2"
    assert quick.with_defaults({"seed": 1}) == {"auto": "light", "seed": 1}
    assert quick.with_defaults({"auto": None}) == {"auto": None}
    assert quick.with_compile_defaults({}) == {"minibatch": False}
    assert known.optimizers.resolve("gepa").path == "dspy.GEPA"


def test_allowed_prefixes(write: Write) -> None:
    known = Registry.load(write("allow: [acme.optimizers, lab.]\n"))

    assert known.optimizers.resolve("acme.optimizers.Annealer").path == "acme.optimizers.Annealer"
    assert known.modules.resolve("lab.X").asset is None
    for name in ("acme.Annealer", "acme.optimizers", "acme.optimizersX.Y", "acme.optimizers._private.Y", "lab.a-b"):
        with pytest.raises(UnusableRequest, match=r"below acme\.optimizers or below lab"):
            known.optimizers.resolve(name)


def test_an_own_catalogue(write: Write, tmp_path: Path) -> None:
    asset = {
        "path": "acme.Annealer",
        "paths": ["acme.Annealer"],
        "init": {"parameters": [{"name": "steps", "kind": "positional", "types": ["int"]}]},
        "compile": {"parameters": [{"name": "student", "kind": "positional"}, {"name": "trainset", "kind": "keyword"}]},
    }
    (tmp_path / "acme.json").write_text(json.dumps({"source": "acme 1", "optimizers": [asset]}))
    known = Registry.load(write("optimizers: {anneal: acme.Annealer}\ncatalogue: acme.json\n"))

    found = known.optimizers.resolve("anneal").asset
    assert found is not None
    assert found.init.names() == {"steps"}
    assert known.optimizers.resolve("dspy.GEPA").asset is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modules:\n  cot: {pth: dspy.X}\n", "line 2: modules.cot.path: Field required"),
        ("modules:\n  a: dspy.Predict\n  b: {path: dspy.X, more: 1}\n", "line 3: modules.b.more: Extra inputs"),
        ("optimizers:\n\n  x: {path: 'os; rm'}\n", "line 3: optimizers.x.path: String should match"),
        ("alow: [x]\n", "line 1: alow: Extra inputs"),
        ("allow:\n  - acme\n  - 'a b'\n", "line 3: allow.1: String should match"),
        ("modules: [1]\n", "line 1: modules: Input should be a valid dictionary"),
        ("modules: {\n", "line 2: no YAML"),
        ("- 1\n", "line 1: the file: Input should be a valid dictionary"),
        ("catalogue: nowhere.json\n", "nowhere.json: cannot be read"),
    ],
)
def test_errors_say_where(write: Write, text: str, message: str) -> None:
    with pytest.raises(RegistryError) as refused:
        Registry.load(write(text))
    assert message in str(refused.value)
    assert str(refused.value).startswith("/")


def test_a_broken_catalogue_says_where(write: Write, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"source": "x",\n "optimizers": [{"path": "a.B"}]}')

    with pytest.raises(RegistryError, match=r"own\.json line 2: optimizers\.0\.paths: Field required"):
        Registry.load(write("catalogue: own.json\n"))


def test_an_empty_file_is_no_file(write: Write) -> None:
    assert Registry.load(write("# nothing yet\n")) == registry.default()


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(RegistryError, match="cannot be read"):
        Registry.load("/nowhere/registry.yaml")
