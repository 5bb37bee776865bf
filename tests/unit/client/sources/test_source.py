"""What is sent of a user's module runs alone, and does what the object did that was given."""

import functools
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dspy_service import UnusableSource
from dspy_service.sources.source import Code, sources_of

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """A user's file, imported."""
    made: list[str] = []

    def loaded(text: str, name: str = "users_module") -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        spec = spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        module = module_from_spec(spec)
        sys.modules[name] = module
        made.append(name)
        spec.loader.exec_module(module)
        return module

    yield loaded
    for name in made:
        del sys.modules[name]


def run(source: str, name: str = "metric_code") -> dict[str, Any]:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(source, module.__dict__)
    return module.__dict__


def metric_of(metric: Any, signature: Any = "") -> str:
    return sources_of(signature, metric)[1]


def signature_of(signature: Any) -> str:
    return sources_of(signature, "")[0]


ROUTE = '''
    """A user's module."""
    import os
    import re as regex
    from typing import Literal

    import json

    LABELS = ("a", "b")
    Label = Literal["a", "b"]
    UNUSED = 3


    class Base:
        label: Label


    class Route(Base):
        """Doc."""


    def _normal(text: str) -> str:
        return regex.sub("x", "y", text)


    def metric(gold, pred, trace=None):
        return _normal(gold) in LABELS
'''


def test_a_class_comes_with_the_bases_and_imports_that_it_needs(load: Load) -> None:
    source = signature_of(load(ROUTE).Route)
    assert run(source)["Route"].__doc__ == "Doc."
    assert "from typing import Literal" in source
    assert "os" not in source
    assert "UNUSED" not in source
    assert "def metric" not in source


def test_a_function_comes_with_its_helpers_and_constants(load: Load) -> None:
    source = metric_of(load(ROUTE).metric)
    assert run(source)["metric"]("a", None) is True
    assert "import re as regex" in source
    assert "class" not in source


SCORES = {
    "helpers": """
        import re
        STOP = {"the"}
        def words(text): return [w for w in re.findall("[a-z]+", text) if w not in STOP]
        def judged(gold, pred, trace=None): return words(gold) == words(pred)
        """,
    "annotations": """
        from __future__ import annotations
        from typing import TYPE_CHECKING, Any
        if TYPE_CHECKING:
            from nowhere import Thing
        def judged(gold: Any, pred: "Any", trace: Thing | None = None) -> "bool":
            return gold == pred.removeprefix("the ")
        """,
    "decorators": """
        import functools
        def half(function):
            @functools.wraps(function)
            def wrapped(*given): return function(*given)
            return wrapped
        @functools.lru_cache(
            maxsize=3
        )
        def same(a, b): return a == b
        @half
        def judged(gold, pred, trace=None): return same(gold, pred.removeprefix("the "))
        """,
    "a closure that the top level made": """
        def exact(drop):
            def inner(gold, pred, trace=None): return gold == pred.removeprefix(drop)
            return inner
        judged = exact("the ")
        """,
    "a partial": """
        from functools import partial
        def exact(drop, gold, pred, trace=None): return gold == pred.removeprefix(drop)
        judged = partial(exact, "the ")
        """,
    "a named lambda": """
        DROP = "the "
        judged = lambda gold, pred, trace=None: gold == pred.removeprefix(DROP)
        """,
    "an object that is called": """
        from dataclasses import dataclass
        @dataclass
        class Exact:
            drop: str
            def __call__(self, gold, pred, trace=None): return gold == pred.removeprefix(self.drop)
        judged = Exact(drop="the ")
        """,
    "a method of an object": """
        class Judge:
            def score(self, gold, pred, trace=None): return gold == pred.removeprefix("the ")
        judge = Judge()
        judged = judge.score
        """,
    "what is bound on conditions": """
        try:
            import no_such_module_of_anybody as fast
        except ImportError:
            fast = None
        if fast:
            def clean(text): return fast.clean(text)
        else:
            def clean(text): return text.removeprefix("the ")
        def judged(gold, pred, trace=None): return gold == clean(pred)
        """,
    "what is changed after it was bound": """
        STOP = set()
        LIMITS = {}
        STOP.add("the")
        LIMITS["least"] = 0
        COUNT = 1
        COUNT += 1
        for word in ("a", "an"):
            STOP.add(word)
        def judged(gold, pred, trace=None):
            assert len(STOP) == 3 and LIMITS["least"] == 0 and COUNT == 2
            return gold == " ".join(w for w in pred.split() if w not in STOP)
        """,
    "globals in functions": """
        seen = 0
        def count():
            global seen
            seen += 1
            return seen
        def judged(gold, pred, trace=None):
            count()
            return gold == pred.removeprefix("the ") and bool(seen)
        """,
    "helpers in helpers, and in class bodies": """
        import string
        def lower(text): return text.lower()
        class Clean:
            keep = set(string.ascii_letters + " ")
            @staticmethod
            def of(text): return "".join(c for c in lower(text) if c in Clean.keep).removeprefix("the ")
        def judged(gold, pred, trace=None): return Clean.of(gold) == Clean.of(pred)
        """,
    "two statements on a line": """
        A = "the"; B = " "
        def judged(gold, pred, trace=None): return gold == pred.removeprefix(A + B)
        """,
    "a star import": """
        from string import *
        def judged(gold, pred, trace=None): return gold == capwords(pred).lower().removeprefix("the ")
        """,
    "a local variable named like something else": """
        payload = "the "
        def judged(gold, pred, trace=None):
            payload = gold
            return payload == pred.removeprefix("the ")
        if __name__ == "__main__":
            payload = 3
            gold = 4
        """,
    "text of several lines": '''
        TEXT = """
          the \\
        """
        def judged(gold, pred, trace=None):
            """Doc
        with odd lines."""
            return gold == pred.removeprefix(TEXT.strip() + " ")
        ''',
    "a helper that is named metric": """
        def metric(gold, pred): return gold == pred.removeprefix("the ")
        def twice(gold, pred): return metric(gold, pred) and metric (gold, pred)
        class Kept:
            score = staticmethod(metric)
        def judged(gold, pred, trace=None):
            metrics = {"metric": Kept.score(gold, pred)}
            return twice(gold, pred) and dict(metric=metrics["metric"])["metric"]
        """,
    "an imported helper that is named metric": """
        from operator import eq as metric
        def judged(gold, pred, trace=None): return metric(gold, pred.removeprefix("the "))
        """,
}


@pytest.mark.parametrize("text", SCORES.values(), ids=SCORES)
def test_a_metric_of_any_name_and_kind_scores_as_it_did(load: Load, text: str) -> None:
    given = load(text).judged
    source = metric_of(given)
    sent = run(source)["metric"]
    for gold, pred in (("cat", "the cat"), ("cat", "dog")):
        assert sent(gold, pred) == given(gold, pred), source
    assert sent("cat", "the cat")
    assert not sent("cat", "dog")


def test_what_is_done_to_imported_things_stays_here(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGES_KEY", "")  # so that what the module sets is gone after this test
    module = load(
        """
        import logging, os
        logging.basicConfig(level="INFO")
        os.environ["JUDGES_KEY"] = "sk-secret"
        def judged(gold, pred, trace=None):
            logging.info("x")
            return os.sep
        """
    )
    source = metric_of(module.judged)
    assert "secret" not in source
    assert "basicConfig" not in source


SHARED = """
    import enum
    from dataclasses import dataclass

    class Colour(enum.Enum):
        RED = "red"

    @dataclass
    class Box:
        colour: Colour
        parent: "Lid | None" = None

    class Lid: ...

    class Pick:
        box: Box

    WARM = {Colour.RED}

    def judged(gold, pred, trace=None):
        return pred.colour in WARM
"""


def test_signature_and_metric_have_their_classes_in_common(load: Load) -> None:
    """A class that is defined twice is two classes, and a right answer would score 0."""
    module = load(SHARED)
    signature, metric = sources_of(module.Pick, module.judged)
    pick = run(signature, "user_signature")
    sent = run(metric)["metric"]
    assert sent(None, pick["Box"](pick["Colour"].RED)) is True
    assert "class Lid" in signature
    assert "class Colour" not in metric


def test_alone_the_metric_brings_its_classes(load: Load) -> None:
    source = metric_of(load(SHARED).judged, "class S: ...")
    assert "class Colour" in source
    assert "user_signature" not in source


def test_a_metric_of_an_installed_package_is_imported() -> None:
    assert run(metric_of(textwrap.dedent))["metric"]("  a") == "a"
    source = metric_of(pytest.approx)
    assert run(source)["metric"] is pytest.approx
    assert source.startswith("from _pytest.")


def test_text_and_files_stay_as_they_are(tmp_path: Path) -> None:
    text = "def judge(gold, pred):\n    return 1\n"
    (tmp_path / "metric.py").write_text(text)
    assert metric_of(tmp_path / "metric.py") == text
    assert metric_of(textwrap.indent(text, "    ")) == text


def test_a_notebook_s_cells_are_what_they_were_at_last(load: Load) -> None:
    cells = [
        "",
        "STOP = undefined_name",
        "get_ipython().run_line_magic('matplotlib', 'inline')",
        "%broken cell",
        "STOP = {'the'}\nimport re",
        "STOP.add('a')",
        "def words(text): return 1 / 0",
        "def words(text):\n    return [w for w in re.findall('[a-z]+', text) if w not in STOP]",
        "def judged(gold, pred, trace=None):\n    return words(gold) == words(pred)",
        "payload = build_payload(metric=judged)",
    ]
    notebook = load("")
    notebook.__dict__.update({"In": cells, "get_ipython": lambda: None})
    exec("\n".join(cells[4:6] + cells[7:9]), notebook.__dict__)
    source = metric_of(notebook.judged)
    assert run(source)["metric"]("the cat", "a cat")
    assert "1 / 0" not in source
    assert "undefined_name" not in source


class Judge:
    def score(self, gold: Any, pred: Any) -> bool:
        return bool(gold == pred)


def outer() -> Callable[..., Any]:
    hidden = 1

    def metric(gold: Any, pred: Any) -> int:
        return hidden

    return metric


@pytest.mark.parametrize(
    "thing",
    [outer(), lambda gold, pred: 1, Judge.score, Judge().score, functools.partial(outer())],
    ids=["nested", "lambda", "method", "bound method", "partial"],
)
def test_what_has_no_name_at_the_top_level_is_refused(thing: Any) -> None:
    with pytest.raises(UnusableSource, match="has no name at the top level") as refused:
        metric_of(thing)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "thing", [3, None, Judge(), b"def metric(): ..."], ids=["a number", "None", "an object", "bytes"]
)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(UnusableSource, match="is no function"):
        metric_of(thing)


def test_what_has_no_source_is_refused() -> None:
    names: dict[str, Any] = {"__name__": "at_a_prompt"}
    sys.modules["at_a_prompt"] = module = types.ModuleType("at_a_prompt")
    exec("def metric(gold, pred): return 1", names)
    module.__dict__.update(names)
    with pytest.raises(UnusableSource, match=r"The source of metric cannot be found"):
        metric_of(names["metric"])


REFUSED = {
    "below the guard": (
        """
        judge = None
        if __name__ != "x" or __name__ == "__main__":
            helper = 1
        def judged(gold, pred, trace=None): return helper
        """,
        "judged uses helper, which is bound below",
    ),
    "a helper's name that means two things": (
        """
        def metric(gold, pred): return 1
        def judged(gold, pred, trace=None): return [metric for metric in [gold]] and metric(gold, pred)
        """,
        "'metric' as well",
    ),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_would_fail_in_the_job_is_refused_here(load: Load, text: str, told: str) -> None:
    load("def score(gold, pred): return 1", "users_helpers")
    module = load(text)
    with pytest.raises(UnusableSource, match=told) as refused:
        metric_of(module.judged)
    assert "\n" not in str(refused.value)


def test_helpers_of_another_file_come_with_it(load: Load) -> None:
    load("def score(gold, pred): return 1", "users_helpers")
    module = load(
        """
        import users_helpers
        def judged(gold, pred, trace=None): return users_helpers.score(gold, pred)
        """
    )
    fields = Code(None, "class S: ...", module.judged, {}, {}).fields
    assert fields["program_files"] == {"users_helpers.py": "def score(gold, pred): return 1"}
    assert "import users_helpers" in fields["metric_code"]


def test_a_relative_import_without_a_package_is_told(load: Load) -> None:
    load("def score(gold, pred): return 1", "users_helpers")
    module = load("def judged(gold, pred, trace=None): return score(gold, pred)")
    path = Path(module.__file__ or "")
    path.write_text("from .users_helpers import score\n" + path.read_text())
    with pytest.raises(UnusableSource, match=r"from \.users_helpers import score"):
        metric_of(module.judged)
