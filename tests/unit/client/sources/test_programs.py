"""Live programs in the forms that people have them in: each is rebuilt from what is sent, and gives equal prompts."""

import re
import textwrap
from pathlib import Path
from typing import Any

import dspy
import pytest

from checked_jobs import check_request
from dspy_service import build_payload
from live_objects import Rebuilt, prompts, users_project

ROWS = [{"question": "q", "context": "c", "answer": "a"}] * 20

HELPERS = {
    "texts.py": """
        import re
        WORDS = re.compile("[a-z]+")
        def short(text): return " ".join(WORDS.findall(text.lower()))[:20]
        """,
    "shop/__init__.py": "from .tools import look_up\n",
    "shop/tools.py": """
        from . import stock
        from texts import short
        def look_up(item: str) -> str:
            "Looks an item up."
            return short(stock.ITEMS.get(item, "none"))
        """,
    "shop/stock.py": "ITEMS = {'pen': 'blue'}\n",
}
METRIC = """
    def metric(gold, pred, trace=None):
        return gold.answer == pred.answer
"""
QA = '''
    import dspy

    class QA(dspy.Signature):
        """Answer shortly."""
        question: str = dspy.InputField(desc="what is asked")
        answer: str = dspy.OutputField()
'''
ANSWER = """
    class Answer(dspy.Module):
        def __init__(self, depth: int = 2):
            super().__init__()
            self.depth = depth
            self.draft = dspy.ChainOfThought(QA)
            self.steps = [dspy.Predict("draft, question -> answer") for _ in range(depth)]

        def forward(self, question):
            draft = self.draft(question=question)
            return self.steps[-1](draft=draft.answer, question=question)
"""

CARRIED: dict[str, str] = {
    "a signature class": QA + "program = QA",
    "a signature with types of its own": """
        import dspy, enum, pydantic
        class Team(enum.Enum):
            A = "a"
        class Item(pydantic.BaseModel):
            name: str
            team: Team | None = None
        class Pick(dspy.Signature):
            question: list[Item] = dspy.InputField()
            answer: Team = dspy.OutputField()
        program = Pick
        rows = [{"question": [{"name": "x", "team": "a"}], "answer": "a"}] * 20
        """,
    "text of a signature": "program = 'question -> answer: list[int]'",
    "a Predict of text": "import dspy\nprogram = dspy.Predict('question -> answer')",
    "a Predict of a class": QA + "program = dspy.Predict(QA)",
    "a Predict with a configuration": QA + "program = dspy.Predict(QA, n=3, temperature=0.7)",
    "a ChainOfThought of text": "import dspy\nprogram = dspy.ChainOfThought('question, context -> answer: bool')",
    "a ChainOfThought of a class": QA + "program = dspy.ChainOfThought(QA)",
    "a ChainOfThought with its own reasoning": QA
    + "program = dspy.ChainOfThought(QA, rationale_field=dspy.OutputField(desc='step by step'))",
    "a signature with other instructions": QA + "program = dspy.Predict(QA.with_instructions('Say \"no\"\\n.'))",
    "a signature with an appended field": QA
    + "program = dspy.ChainOfThought(QA.append('sure', dspy.OutputField(desc='how sure', ge=0, le=1), float))",
    "a signature of many types": """
        import dspy, typing, datetime
        program = dspy.Predict(dspy.Signature({
            "question": (typing.Literal["a", "b"], dspy.InputField()),
            "context": (dict[str, list[int]] | None, dspy.InputField()),
            "at": (datetime.date, dspy.InputField()),
            "answer": (tuple[str, ...], dspy.OutputField(max_length=3)),
            "rest": (typing.Any, dspy.OutputField()),
        }, "Do it."))
        rows = [{"question": "a", "context": None, "at": "2024-01-02", "answer": ["x"], "rest": 1}] * 20
        """,
    "a ReAct with a function": QA
    + """
    def add(a: int, b: int) -> int:
        "Adds."
        return a + b
    program = dspy.ReAct(QA, tools=[add])
    """,
    "a ReAct with a tool of a helper package": QA
    + """
    from shop import look_up
    program = dspy.ReAct(QA, tools=[look_up], max_iters=4)
    """,
    "a ReAct with named tools": QA
    + """
    import shop.tools
    program = dspy.ReAct("question -> answer", tools=[dspy.Tool(shop.tools.look_up, name="find", desc="Finds.")])
    """,
    "a ReAct with a tool of the standard library": QA
    + """
    import textwrap
    program = dspy.ReAct(QA, tools=[textwrap.dedent])
    """,
    "a ReAct with an object's method": QA
    + """
    class Stock:
        def count(self, item: str) -> int:
            "Counts."
            return len(item)
    stock = Stock()
    program = dspy.ReAct(QA, tools=[stock.count])
    """,
    "a BestOfN": QA
    + """
    def reward(args, pred): return float(len(pred.answer) < 9)
    program = dspy.BestOfN(module=dspy.ChainOfThought(QA), N=3, reward_fn=reward, threshold=1.0)
    """,
    "a Refine": QA
    + """
    LIMIT = 9
    def reward(args, pred): return float(len(pred.answer) < LIMIT)
    program = dspy.Refine(module=dspy.Predict(QA), N=2, reward_fn=reward, threshold=0.5, fail_count=1)
    """,
    "a MultiChainComparison": QA + "program = dspy.MultiChainComparison(QA, M=2)",
    "a ProgramOfThought": QA + "program = dspy.ProgramOfThought(QA, max_iters=2)",
    "an RLM": QA + "program = dspy.RLM(QA, max_iters=3)",
    "a compiled Predict": QA
    + """
    program = dspy.Predict(QA)
    program.demos = [dspy.Example(question="1", answer="2").with_inputs("question")]
    """,
    "a class": QA + ANSWER + "program = Answer",
    "an instance with defaults": QA + ANSWER + "program = Answer()",
    "an instance with an argument": QA + ANSWER + "program = Answer(3)",
    "an instance with a computed argument": QA + ANSWER + "N = 1\nprogram = Answer(depth=N + 2)",
    "an instance that was compiled": QA
    + ANSWER
    + """
    program = Answer()
    program.draft.predict.signature = program.draft.predict.signature.with_instructions("Better.")
    program.steps[0].demos = [dspy.Example(draft="d", question="q", answer="a")]
    """,
    "an instance that has a model": QA
    + ANSWER
    + "program = Answer()\nprogram.set_lm(dspy.LM('openai/own', api_key='k-secret'))",
    "an instance made in a function": QA
    + ANSWER
    + """
    def make(): return Answer(depth=4)
    program = make()
    """,
    "an instance with an object as argument": QA
    + """
    class Search:
        def __init__(self, texts): self.texts = texts
        def __call__(self, query): return [t for t in self.texts if query in t]
    class Rag(dspy.Module):
        def __init__(self, search):
            super().__init__()
            self.search = search
            self.answer = dspy.Predict("context, question -> answer")
        def forward(self, question):
            return self.answer(context=self.search(question), question=question)
    TEXTS = ["a", "b"]
    program = Rag(Search(TEXTS))
    """,
    "an instance with a module as argument": QA
    + """
    class Twice(dspy.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
        def forward(self, question): return self.inner(question=self.inner(question=question).answer)
    def make(inner): return Twice(inner)
    program = make(dspy.ChainOfThought(QA))
    """,
    "predictors in a dict": QA
    + """
    class By(dspy.Module):
        def __init__(self):
            super().__init__()
            self.by = {"x": dspy.Predict(QA), "y": dspy.ChainOfThought(QA)}
        def forward(self, question): return self.by["x" if "x" in question else "y"](question=question)
    program = By()
    """,
    "sub-modules": QA
    + ANSWER
    + """
    class Outer(dspy.Module):
        def __init__(self):
            super().__init__()
            self.inner = Answer(1)
        def forward(self, question): return self.inner(question=question)
    program = Outer
    """,
    "a base class and a mixin": QA
    + """
    class Loud:
        def loud(self, text): return text.upper()
    class Base(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
    class Leaf(Base, Loud):
        def forward(self, question): return self.predict(question=self.loud(question))
    program = Leaf()
    """,
    "only aforward": QA
    + """
    class Later(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        async def aforward(self, question): return await self.predict.acall(question=question)
    program = Later()
    """,
    "helpers of another file": QA
    + """
    import texts
    class Short(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        def forward(self, question): return self.predict(question=texts.short(question))
    program = Short()
    """,
    "a helper imported in a function": QA
    + """
    class Short(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        def forward(self, question):
            from texts import short
            return self.predict(question=short(question))
    program = Short()
    """,
    "a sub-module of a package": QA
    + """
    from shop import stock as shelf
    class Shop(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA.with_instructions(str(shelf.ITEMS)))
        def forward(self, question): return self.predict(question=question)
    program = Shop()
    """,
    "constants, locks and regular expressions": QA
    + """
    import re, threading, collections
    LOCK = threading.Lock()
    WORD = re.compile("[a-z]+")
    SEEN = collections.Counter()
    SEEN.update(["x"])
    class Counted(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        def forward(self, question):
            with LOCK:
                SEEN.update(WORD.findall(question))
            return self.predict(question=question)
    program = Counted()
    """,
    "postponed annotations": """
        from __future__ import annotations
        import dspy
        class Late(dspy.Module):
            def __init__(self, of: Kind | None = None):
                super().__init__()
                self.predict = dspy.Predict("question -> answer")
            def forward(self, question: Kind): return self.predict(question=question)
        class Kind(str): ...
        program = Late
        """,
    "a decorated forward": QA
    + """
    import functools
    def traced(function):
        @functools.wraps(function)
        def inner(*args, **kwargs): return function(*args, **kwargs)
        return inner
    class Traced(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        @traced
        def forward(self, question): return self.predict(question=question)
    program = Traced()
    """,
    "a model of the program's own": QA
    + """
    strong = dspy.LM("openai/strong", api_key="k-secret", temperature=0.2)
    class Judged(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(QA)
        def forward(self, question):
            with dspy.context(lm=strong):
                return self.predict(question=question)
    program = Judged()
    """,
    "a class with keyword-only arguments": QA
    + """
    class Odd(dspy.Module):
        def __init__(self, *, style="short", tags=()):
            super().__init__()
            self.style, self.tags = style, list(tags)
            self.predict = dspy.Predict(QA.with_instructions(f"{style} {self.tags}"))
        def forward(self, question): return self.predict(question=question)
    program = Odd(style="long", tags=["a"])
    """,
    "a signature made in a loop": """
        import dspy
        Task = dspy.Signature("question -> answer")
        for line in ("Be short.", "Be true."):
            Task = Task.append_instructions(line)
        class Looped(dspy.Module):
            def __init__(self):
                super().__init__()
                self.predict = dspy.Predict(Task)
            def forward(self, question): return self.predict(question=question)
        program = Looped
        """,
}


def sent(module: Any, **given: Any) -> dict[str, Any]:
    return build_payload(
        module.program, metric=module.metric, trainset=getattr(module, "rows", ROWS), **{"lm": "openai/m"} | given
    )


@pytest.mark.parametrize("text", CARRIED.values(), ids=CARRIED)
def test_a_program_is_rebuilt_with_equal_prompts(text: str, tmp_path: Path) -> None:
    files = {**HELPERS, "users_program.py": _program(text) + textwrap.dedent(METRIC)}
    with users_project(tmp_path / "here", files) as module:
        live = _live(module.program)
        payload = sent(module)
    assert "secret" not in str([payload.get(name) for name in ("program_code", "signature_code", "metric_code")])
    check_request(payload)
    rebuilt = Rebuilt(payload, tmp_path / "there")
    assert prompts(rebuilt.program) == prompts(live), payload


def _program(text: str) -> str:
    """The parts of a text are indented as they stand here."""
    text = textwrap.dedent(text)
    return re.sub("^    ", "", text, flags=re.MULTILINE) if text.startswith("\n    ") else text


def _live(program: Any) -> Any:
    if isinstance(program, str):
        return dspy.Predict(program)
    if isinstance(program, type):
        return dspy.Predict(program) if issubclass(program, dspy.Signature) else program()
    return program
