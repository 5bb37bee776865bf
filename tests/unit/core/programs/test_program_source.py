"""The static reader of programs against DSPy itself: where it claims to know, running the code must say the same."""

import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import dspy
import pytest

from dspy_service_core.errors import UnusableRequest
from dspy_service_core.programs.program_source import ProgramSource, ProgramText, read_program

Files = Mapping[str, str]
QA = "class QA(dspy.Signature):\n    question: str = dspy.InputField()\n    answer: str = dspy.OutputField()\n"

READABLE: dict[str, tuple[str, int | None]] = {
    "plain": (
        """
import dspy

class Program(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought("question -> answer")

    def forward(self, question):
        return self.answer(question=question)
""",
        1,
    ),
    "three predictors and a setting": (
        """
class Program(dspy.Module):
    def __init__(self, hops: int = 2, *, style="short"):
        self.hops = hops
        self.style = style.strip()
        self.names = [str(n) for n in range(hops)]
        self.query = dspy.Predict("question, context -> query")
        self.rank = dspy.Predict("question, passages -> best: int")
        self.answer = dspy.ChainOfThought(dspy.Signature("question, context -> answer", "Answer shortly."))

    def forward(self, question: str, limit: int = 3):
        return self.answer(question=question, context="")
""",
        3,
    ),
    "a list and a dict": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.steps = [dspy.Predict("a -> b"), dspy.ChainOfThought("b -> c")]
        self.by = {"x": dspy.Predict("a -> b"), "n": 3}

    def forward(self, a):
        return self.steps[0](a=a)
""",
        3,
    ),
    "a module inside another": (
        """
class Draft(dspy.Module):
    def __init__(self, n=1):
        self.write = dspy.Predict("topic -> text")
        self.n = n

    def forward(self, topic):
        return self.write(topic=topic)

class Program(dspy.Module):
    def __init__(self):
        self.draft = Draft(n=2)
        self.check = dspy.Predict("text -> verdict: bool")

    def forward(self, topic):
        return self.check(text=self.draft(topic=topic).text)
""",
        2,
    ),
    "a base class": (
        """
class Base(dspy.Module):
    def __init__(self, style="x"):
        self.one = dspy.Predict("a -> b")

    def forward(self, a):
        return self.one(a=a)

class Program(Base):
    pass
""",
        1,
    ),
    "diamonds": (
        """
class A(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("a -> b")
    def forward(self, a):
        return self.p(a=a)
class B(A):
    pass
class C(A):
    def forward(self, c):
        return self.p(a=c)
class Program(B, C):
    pass
""",
        1,
    ),
    "a mixin": (
        """
import typing
class Mixin:
    def forward(self, q):
        return self.p(q=q)
class Program(Mixin, dspy.Module, typing.Generic[typing.TypeVar('T')]):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
""",
        1,
    ),
    "aforward alone": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
    async def aforward(self, q):
        return await self.p.acall(q=q)
""",
        1,
    ),
    "tools": (
        """
def search(query: str) -> str:
    return "found"

class Program(dspy.Module):
    def __init__(self):
        self.agent = dspy.ReAct("question -> answer", tools=[search])
    def forward(self, question):
        return self.agent(question=question)
""",
        2,
    ),
    "best of n": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.best = dspy.BestOfN(module=dspy.ChainOfThought("q -> a"), N=3, reward_fn=lambda a, p: 1.0, threshold=1.0)
    def forward(self, q):
        return self.best(q=q)
""",
        1,
    ),
    "aliases": (
        """
import dspy as d
from dspy import ChainOfThought as CoT, Module
class Program(Module):
    def __init__(self):
        self.p = CoT("q -> a")
        self.q = d.Predict("q -> a")
    def forward(self, q, /, *_, **kw):
        return self.p(q=q)
    forward = None
    def forward(self, *, q, more=None):
        return self.p(q=q)
""",
        2,
    ),
    "a star import": (
        """
from dspy import *
class Program(Module):
    def __init__(self):
        self.p = Predict("q -> a")
    def forward(self, **inputs):
        return self.p(**inputs)
""",
        1,
    ),
    "made in a loop": (
        """
class Program(dspy.Module):
    def __init__(self, n=3):
        self.steps = []
        for _ in range(n):
            self.steps.append(dspy.Predict("q -> a"))
    def forward(self, q):
        return self.steps[0](q=q)
""",
        None,
    ),
    "made under a condition": (
        """
class Program(dspy.Module):
    def __init__(self, think=True):
        if think:
            self.p = dspy.ChainOfThought("q -> a")
        else:
            self.p = dspy.Predict("q -> a")
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "made by a method": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.setup()
    def setup(self):
        self.p = dspy.Predict("q -> a")
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "made by a class": (
        """
class Made:
    p = dspy.Predict("q -> a")
    @classmethod
    def one(cls):
        return dspy.Predict("q -> a")
class Program(dspy.Module):
    def __init__(self):
        self.p = Made.p
        self.q = Made.one()
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "made as a default": (
        """
class Program(dspy.Module):
    def __init__(self, p=dspy.Predict("q -> a")):
        self.p = p
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "made at the top": (
        """
shared = dspy.Predict("q -> a")
class Program(dspy.Module):
    def __init__(self):
        self.p = shared
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "made by setattr": (
        """
class Program(dspy.Module):
    def __init__(self):
        for name in ("a", "b"):
            setattr(self, name, dspy.Predict("q -> a"))
    def forward(self, q):
        return self.a(q=q)
""",
        None,
    ),
    "made by a base's constructor": (
        """
class Base(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
class Program(Base):
    def __init__(self):
        super().__init__()
        self.n = 3
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "one object twice": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.p = self.q = dspy.Predict("q -> a")
    def forward(self, q):
        return self.p(q=q)
""",
        None,
    ),
    "an attribute given twice": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
        self.p: object = dspy.ReAct("q -> a", tools=[])
    def forward(self, q):
        return self.p(q=q)
""",
        2,
    ),
    "a signature of this source": (
        QA
        + """
class Program(dspy.Module):
    def __init__(self):
        self.signature = QA
        self.p = dspy.Predict(QA)
    def forward(self, question):
        return self.p(question=question)
""",
        1,
    ),
    "a main guard": (
        """
class Program(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
    def forward(self, q):
        return self.p(q=q)

if __name__ == "__main__":
    class Other(dspy.Module):
        pass
    Program = None
""",
        1,
    ),
    "a decorated forward": (
        """
import functools
def traced(function):
    @functools.wraps(function)
    def inner(self, *args, **kwargs):
        return function(self, *args, **kwargs)
    return inner
class Program(dspy.Module):
    def __init__(self):
        self.p = dspy.Predict("q -> a")
    @traced
    def forward(self, q):
        return self.p(q=q)
""",
        1,
    ),
}


def read(code: str, **more: Any) -> ProgramSource:
    return read_program(ProgramText(code, **more))


@pytest.fixture
def modules() -> Iterator[dict[str, types.ModuleType]]:
    """Modules made by a test; they must be found by name, as classes look their module up."""
    before = set(sys.modules)
    yield {}
    for name in set(sys.modules) - before:
        if name.startswith("user_program"):
            del sys.modules[name]


def run(code: str) -> dict[str, Any]:
    module = types.ModuleType("user_program_tried")
    sys.modules[module.__name__] = module
    vars(module)["dspy"] = dspy
    exec(code, vars(module))
    return vars(module)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(("code", "count"), READABLE.values(), ids=READABLE)
def test_what_is_read_is_what_running_it_gives(code: str, count: int | None) -> None:
    found = read(code)
    program = run(code)["Program"]()

    assert found.name == "Program"
    assert found.predictor_count == count
    assert count in (None, len(program.named_predictors()))
    forward = inspect.signature(getattr(program, "forward", None) or program.aforward)
    if found.forward is not None:
        assert list(found.forward.names()) == [p.name for p in forward.parameters.values() if p.kind in (1, 3)]
        assert found.forward.any_named == any(p.kind == p.VAR_KEYWORD for p in forward.parameters.values())
    if found.constructor is not None:
        init = inspect.signature(type(program).__init__)
        wanted = [p.name for p in list(init.parameters.values())[1:] if p.kind in (1, 3) and p.name != "callbacks"]
        assert list(found.constructor.names()) == wanted
    named = [seen.signature.name for seen in found.predictors if seen.signature]
    assert len(named) == len(found.predictors)


def test_types_and_signatures_that_can_be_seen() -> None:
    found = read(READABLE["three predictors and a setting"][0])

    assert found.constructor is not None
    assert (found.constructor.names(), found.constructor.required()) == (("hops", "style"), ())
    assert found.forward is not None
    assert found.forward.required() == ("question",)
    assert [(p.name, p.type.kind if p.type else None) for p in found.forward.named] == [
        ("question", None),
        ("limit", "int"),
    ]
    seen = [(p.module, p.signature and (p.signature.inputs, p.signature.outputs)) for p in found.predictors]
    assert seen == [
        ("dspy.Predict", (("question", "context"), ("query",))),
        ("dspy.Predict", (("question", "passages"), ("best",))),
        ("dspy.ChainOfThought", (("question", "context"), ("answer",))),
    ]


MAKES = "    def __init__(self):\n        self.p = dspy.Predict('q -> a')\n"
TAKES = "    def forward(self, q):\n        return self.p(q=q)\n"
WHOLE = f"(dspy.Module):\n{MAKES}{TAKES}"
BUILDS = f"(dspy.Module):\n    def __init__(self):\n        self.p = {{}}()\n{TAKES}"

CHOSEN: dict[str, tuple[str, str, str | None]] = {
    "the only one": (f"class A{WHOLE}", "", "A"),
    "the one that builds": (f"class A{WHOLE}class B{BUILDS.format('A')}", "", "B"),
    "the one that derives": (f"class A{WHOLE}class B(A): pass\n", "", "B"),
    "the one that is named": (f"class A{WHOLE}class B{WHOLE}", "A", "A"),
    "one that another builds, by its name": (f"class A{WHOLE}class B{BUILDS.format('A')}", "A", "A"),
    "one by another name": (f"class A{WHOLE}class B{WHOLE}C = A\n", "C", "A"),
    "the one that mentions another below": (
        f"class A{WHOLE}class B{WHOLE}    def make(self):\n        return [kind() for kind in (A,)]\n",
        "",
        "B",
    ),
    "one of a signature's file": (f"{QA}class A{WHOLE}", "", "A"),
    "one with a base from elsewhere": (f"from acme import Base\nclass A(Base): pass\nclass B{WHOLE}", "", None),
    "one whose base is from elsewhere": (f"from acme import Base\nclass A(Base):\n{MAKES}{TAKES}", "A", None),
    "a name from elsewhere": ("from acme import A\n", "A", None),
    "a name from everywhere": ("from acme import *\n", "A", None),
    "a name of a condition": ("try:\n    import x\nexcept ImportError:\n    class A(dspy.Module): ...\n", "A", None),
    "a name bound anew": (f"class A{WHOLE}A = wrap(A)\n", "", None),
    "a made class": ("A = type('A', (dspy.Module,), {})\n", "", None),
}


@pytest.mark.parametrize(("code", "name", "wanted"), CHOSEN.values(), ids=CHOSEN)
def test_which_class_is_optimized(code: str, name: str, wanted: str | None) -> None:
    if wanted is None:
        assert read(code, name=name).doubt
    else:
        assert read(code, name=name).name == wanted


REFUSED: dict[str, tuple[str, str, str]] = {
    "no module": (QA, "", "program_code defines no class derived from dspy.Module"),
    "nothing": ("x = 1\n", "", "program_code defines no class derived from dspy.Module"),
    "an object and no class": ("program = dspy.ChainOfThought('q -> a')\n", "", "defines no class derived from dspy.M"),
    "two modules": (
        f"class A{WHOLE}class B{WHOLE}",
        "",
        "several modules, 'A', 'B'; name the one to optimize in module_name",
    ),
    "one that a plain class builds": (
        f"class A{WHOLE}class F:\n    def make(self): return A()\nclass B{WHOLE}",
        "",
        "several modules, 'A', 'B'",
    ),
    "one that is an annotation": (
        f"class A{WHOLE}class B{WHOLE}    def use(self, a: A): ...\n",
        "",
        "several modules, 'A', 'B'",
    ),
    "a circle": (
        f"class A{BUILDS.format('B')}class B{BUILDS.format('A')}",
        "",
        "several modules, 'A', 'B'; name the one to optimize in module_name",
    ),
    "another name": (f"class A{WHOLE}", "B", "module_name: 'B' is no class in program_code. Its modules: 'A'"),
    "an alias of ours": (f"class A{WHOLE}", "cot", "module_name: 'cot' is no class in program_code. Its modules: 'A'"),
    "a signature's name": (f"{QA}class A{WHOLE}", "QA", "module_name: class 'QA' in program_code does not derive from"),
    "no forward": (f"class A(dspy.Module):\n{MAKES}", "", "class 'A' has no forward; define `def forward(self, ...)`"),
    "args": (
        f"class A(dspy.Module):\n{MAKES}    def forward(self, *args): ...\n",
        "",
        "forward of class 'A' (line 4) takes its inputs as *args, and rows arrive by name: name its parameters",
    ),
    "positional only": (
        f"class A(dspy.Module):\n{MAKES}    def forward(self, q, n=1, /): ...\n",
        "",
        "takes 'q' by position only, and rows arrive by name: leave out the '/'",
    ),
    "no inputs": (
        f"class A(dspy.Module):\n{MAKES}    def forward(self): ...\n",
        "",
        "takes no inputs, and rows arrive by name: name its parameters, such as forward(self, question)",
    ),
    "args of aforward": (
        f"class A(dspy.Module):\n{MAKES}    async def aforward(self, *args): ...\n",
        "",
        "takes its inputs as *args",
    ),
    "made when called": (
        "class A(dspy.Module):\n    def forward(self, q):\n        return dspy.Predict('q -> a')(q=q)\n",
        "",
        "no predictor that an optimizer sees: dspy.Predict is made on line 3, when the program is called; give each to",
    ),
    "made when called, with a constructor": (
        "class A(dspy.Module):\n    def __init__(self, **kw):\n        super().__init__()\n        self.kw = kw\n"
        "        self.n = kw.get('n', 3)\n    def forward(self, q):\n        return dspy.Predict('q -> a')(q=q)\n",
        "",
        "no predictor that an optimizer sees",
    ),
    "two containers deep": (
        f"class A(dspy.Module):\n    def __init__(self):\n        self.p = {{'a': [dspy.Predict('q -> a')]}}\n{TAKES}",
        "",
        "they lie in a list or dict inside another one, where DSPy does not look",
    ),
    "in a list of lists": (
        f"class A(dspy.Module):\n    def __init__(self):\n        self.p = [[dspy.Predict('q -> a')]]\n{TAKES}",
        "",
        "they lie in a list or dict inside another one",
    ),
    "of the class": (f"class A(dspy.Module):\n    p = dspy.Predict('q -> a')\n{TAKES}", "", "its __init__ makes none"),
    "a syntax error": ("class A(dspy.Module:\n", "", "program_code has a syntax error on line 1"),
}


@pytest.mark.parametrize(("code", "name", "words"), REFUSED.values(), ids=REFUSED)
def test_what_can_only_fail_is_refused(code: str, name: str, words: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        read(code, name=name)

    assert words in str(refused.value)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("form", ["made when called", "made when called, with a constructor", "of the class"])
def test_a_program_without_visible_predictors_has_none(form: str) -> None:
    assert run(REFUSED[form][0])["A"]().named_predictors() == []


PROGRAM = f"class Program(dspy.Module):\n    def __init__(self):\n        self.p = dspy.Predict(QA)\n{TAKES}"
IMPORTED: dict[str, tuple[str, Files]] = {
    "from a file": ("from sigs import QA\n", {"sigs.py": f"import dspy\n{QA}"}),
    "from a package": ("from tasks.sigs import QA\n", {"tasks/sigs.py": QA}),
    "through a package's init": (
        "from tasks import QA\n",
        {"tasks/__init__.py": "from .sigs import QA\n", "tasks/sigs.py": QA},
    ),
    "through a module beside a package's init": (
        "from tasks import QA\n",
        {"tasks/__init__.py": "from . import sigs\nfrom .sigs import QA\n", "tasks/sigs.py": QA},
    ),
    "under another name": ("from sigs import Ask as QA\n", {"sigs.py": QA.replace("class QA", "class Ask")}),
    "as a module": ("import sigs\nQA = sigs.QA\n", {"sigs.py": QA}),
    "as a module of a package": ("import tasks.sigs as s\nQA = s.QA\n", {"tasks/sigs.py": QA, "tasks/__init__.py": ""}),
    "with a base of another file": (
        "from sigs import QA\n",
        {
            "sigs.py": "from base import Base\nclass QA(Base):\n    '''Ask.'''\n",
            "base.py": QA.replace("class QA", "class Base"),
        },
    ),
    "in a circle": ("from sigs import QA\n", {"sigs.py": f"import back\n{QA}", "back.py": "import sigs\n"}),
}


@pytest.mark.parametrize(("imports", "files"), IMPORTED.values(), ids=IMPORTED)
def test_signatures_of_the_jobs_own_files_are_read(imports: str, files: Files) -> None:
    found = read(f"import dspy\n{imports}{PROGRAM}", files=files)

    (seen,) = found.predictors
    assert seen.signature is not None
    assert (seen.signature.inputs, seen.signature.outputs) == (("question",), ("answer",))


def test_a_signature_beside_the_program_is_seen() -> None:
    found = read(PROGRAM, signature=f"{QA}{QA.replace('class QA', 'class Other')}")

    assert found.name == "Program"
    assert found.predictors[0].signature is not None


def test_a_base_of_the_jobs_own_files_is_followed() -> None:
    found = read(
        "from base import Base\nclass A(Base):\n    pass\n", files={"base.py": f"import dspy\nclass Base{WHOLE}"}
    )

    assert (found.name, found.predictor_count, found.forward and found.forward.names()) == ("A", 1, ("q",))


MISSING: dict[str, tuple[str, Files, str]] = {
    "a syntax error of a file": (
        "import text\n",
        {"text.py": "x = 1\ndef f(:\n"},
        "program_files['text.py'] has a syntax error on line 2",
    ),
    "a syntax error behind another": (
        "import a\n",
        {"a.py": "from pack import b\n", "pack/__init__.py": "x = = 1\n", "pack/b.py": ""},
        "program_files['pack/__init__.py'] has a syntax error on line 1",
    ),
    "a module of a package": (
        "from pack.missing import x\n",
        {"pack/__init__.py": ""},
        "program_code, line 1 imports 'pack.missing', which is none of program_files: send it along",
    ),
    "a module that a file imports": (
        "import text\n",
        {"text.py": "\nfrom pack.missing import x\n", "pack/__init__.py": ""},
        "program_files['text.py'], line 2 imports 'pack.missing'",
    ),
}


@pytest.mark.parametrize(("imports", "files", "words"), MISSING.values(), ids=MISSING)
def test_files_that_cannot_be_imported_are_named(imports: str, files: Files, words: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        read(f"{imports}class A{WHOLE}", files=files)

    assert words in str(refused.value)


ALLOWED: dict[str, tuple[str, Files]] = {
    "a syntax error where nobody imports": ("", {"template.py": "{{ cookiecutter }} = ="}),
    "a syntax error under a condition": (
        "try:\n    import old\nexcept SyntaxError:\n    old = None\n",
        {"old.py": "print 1\n"},
    ),
    "a package of elsewhere": ("import acme\nfrom acme.tools import search\n", {"text.py": ""}),
    "a package of elsewhere with a folder of its name": (
        "import acme.tools\n",
        {"acme/data.json": "{}", "acme/own.py": ""},
    ),
    "too many files to follow": (
        "import f0\n",
        {f"f{n}.py": f"import f{n + 1}\n" + "x = 1\n" * 2000 for n in range(60)} | {"f60.py": ""},
    ),
    "files in a circle of many": ("import f0\n", {f"f{n}.py": f"from f{(n + 1) % 60} import *\n" for n in range(60)}),
}


@pytest.mark.parametrize(("imports", "files"), ALLOWED.values(), ids=ALLOWED)
def test_what_may_run_is_left_to_the_pod(imports: str, files: Files) -> None:
    assert read(f"{imports}class A{WHOLE}", files=files).name == "A"
