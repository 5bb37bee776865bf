"""Programs of every shape that people write, each with its rows and what must come of it: a true result, or a refusal.

`OPTIMIZED` run with every optimizer that can; `REFUSED` end before money is spent, with the cause and the cure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowing_model import KnowingModel

Rows = Callable[[KnowingModel], list[dict[str, Any]]]
METRIC = """
def metric(gold, pred, trace=None):
    return gold.answer == pred.answer
"""
ROWS = 40


@dataclass(frozen=True)
class Shape:
    """One program as it is sent, and what must come of it."""

    name: str
    code: str
    files: Mapping[str, str] = field(default_factory=dict)
    class_name: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    signature: str = ""
    columns: Mapping[str, Mapping[str, str]] | None = None
    metric: str = METRIC
    rows: Rows = lambda model: questions(model)
    predictors: Sequence[str] = ()
    """Their names, as metrics get them and states have them."""
    refused: str = ""
    """What the failure's first line says; empty where it runs."""
    reason: str = "InvalidProgram"

    def spec(self) -> dict[str, Any]:
        """What of a job's spec, as `job.json` holds it, the program decides."""
        files = [{"path": path, "code": text} for path, text in self.files.items()]
        said: dict[str, Any] = {
            "program": {"code": self.code, "name": self.class_name, "kwargs": dict(self.kwargs), "files": files},
            "metric": {"code": self.metric},
        }
        if self.signature:
            said["signature"] = {"code": self.signature}
        if self.columns is not None:
            said["columns"] = {"inputs": {}, "outputs": {}, **self.columns}
        return said


def questions(model: KnowingModel, **more: Any) -> list[dict[str, Any]]:
    """The model knows each row's answer, and a wrong one."""
    rows = []
    for number in range(ROWS):
        right, wrong = {"answer": f"right {number}"}, {"answer": f"wrong {number}"}
        rows.append({"question": f"What is {model.know(f'item {number}', right, wrong)}?", **right, **more})
    return rows


def numbers(model: KnowingModel) -> list[dict[str, Any]]:
    """Numbers as text, as a file of rows has them, and an answer of a type of the program's own."""
    rows = []
    for number in range(ROWS):
        right, wrong = ({"answer": {"value": value, "unit": "kg"}} for value in (number, -1))
        rows.append({"question": f"Weigh {model.know(f'item {number}', right, wrong)}", "times": "3", **right})
    return rows


def renamed(model: KnowingModel) -> list[dict[str, Any]]:
    return [{"Frage": row["question"], "Antwort": row["answer"], "nr": n} for n, row in enumerate(questions(model))]


def of_terms(model: KnowingModel) -> list[dict[str, Any]]:
    return questions(model, term="kilo")


CHAIN = '''
import dspy


class Pipeline(dspy.Module):
    """Drafts, then answers."""

    def __init__(self):
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> draft")
        self.final = dspy.Predict("question, draft -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        draft = self.draft(question=question).draft
        return self.final(question=question, draft=draft)
'''
ONE = """
class One(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question):
        return self.answer(question=question)
"""
BROKEN_CONSTRUCTOR = ONE.replace("super().__init__()", "super().__init__()\n        {}")


def forward(body: str, parameters: str = "self, question", more: str = "") -> str:
    """`ONE` with another forward."""
    head = ONE.partition("    def forward")[0]
    return f"{head}{more}    def forward({parameters}):\n        {body}\n"


def nested(container: str, place: str) -> str:
    parts = container.format("dspy.Predict('question -> answer')")
    constructor = f"    def __init__(self):\n        super().__init__()\n        self.parts = {parts}\n\n"
    return f"class One(dspy.Module):\n{constructor}    def forward(self, question):\n" + (
        f"        return self.parts{place}(question=question)\n"
    )


OPTIMIZED = [
    Shape("chain", CHAIN, predictors=("draft.predict", "final")),
    Shape(
        "a list of steps",
        """
class Steps(dspy.Module):
    def __init__(self, most=2):
        self.steps = [dspy.Predict("question, notes -> more") for _ in range(most)]
        self.answer = dspy.Predict("question, notes -> answer")

    def forward(self, question):
        notes = ""
        for step in self.steps:
            notes += step(question=question, notes=notes).more
        return self.answer(question=question, notes=notes)
""",
        kwargs={"most": 3},
        predictors=("steps[0]", "steps[1]", "steps[2]", "answer"),
    ),
    Shape(
        "a dict of experts",
        """
class Experts(dspy.Module):
    def __init__(self):
        super().__init__()
        self.by = {"short": dspy.Predict("question -> answer"), "long": dspy.ChainOfThought("question -> answer")}

    def forward(self, question):
        return self.by["long" if len(question) > 15 else "short"](question=question)
""",
        predictors=("by['short']", "by['long'].predict"),
    ),
    Shape(
        "sub-modules, and classes that others build",
        """
import dspy


class Base(dspy.Module):
    def ask(self, question):
        return self.inner(question=question)


class Inner(dspy.Module):
    def __init__(self):
        super().__init__()
        self.think = dspy.ChainOfThought("question -> thought")

    def forward(self, question):
        return self.think(question=question)


class Outer(Base):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.say = dspy.Predict("question, thought -> answer")

    def forward(self, question):
        return self.say(question=question, thought=self.ask(question).thought)


program = Outer()
""",
        predictors=("inner.think.predict", "say"),
    ),
    Shape(
        "a loop until it is content",
        """
class Loop(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question, before -> answer, content: bool")

    def forward(self, question):
        before = ""
        for _ in range(3):
            found = self.answer(question=question, before=before)
            if found.content and before:
                break
            before = found.answer
        return found
""",
        predictors=("answer",),
    ),
    Shape(
        "tools",
        """
SEEN = {"q": "nothing much"}


def search(query: str) -> str:
    \"\"\"Looks a word up.\"\"\"
    return SEEN.get(query, "unknown")


class Agent(dspy.Module):
    def __init__(self):
        super().__init__()
        self.react = dspy.ReAct("question -> answer", tools=[search], max_iters=3)

    def forward(self, question: str):
        return self.react(question=question)
""",
        predictors=("react.react", "react.extract.predict"),
    ),
    Shape(
        "the best of several",
        """
class Best(dspy.Module):
    def __init__(self):
        super().__init__()
        self.best = dspy.BestOfN(dspy.Predict("question -> answer"), N=2, reward_fn=Best.reward, threshold=1.0)

    @staticmethod
    def reward(args, pred):
        return float("right" in pred.answer)

    def forward(self, question):
        return self.best(question=question)
""",
        predictors=("best.module",),
    ),
    Shape(
        "refined",
        """
class Refined(dspy.Module):
    def __init__(self):
        super().__init__()
        self.refined = dspy.Refine(dspy.Predict("question -> answer"), N=2, reward_fn=self.reward, threshold=1.0)

    def reward(self, args, pred):
        return float("right" in pred.answer)

    def forward(self, question):
        return self.refined(question=question)
""",
        predictors=("refined.module",),
    ),
    Shape(
        "in parallel",
        """
class Both(dspy.Module):
    def __init__(self):
        super().__init__()
        self.one = dspy.Predict("question -> answer")
        self.other = dspy.Predict("question -> doubt")

    def forward(self, question):
        inputs = dspy.Example(question=question).with_inputs("question")
        first, second = dspy.Parallel(num_threads=2, disable_progress_bar=True)(
            [(self.one, inputs), (self.other, inputs)]
        )
        return dspy.Prediction(answer=first.answer, doubt=second.doubt)
""",
        predictors=("one", "other"),
    ),
    Shape(
        "async alone",
        """
import asyncio


class Later(dspy.Module):
    def __init__(self):
        super().__init__()
        self.think = dspy.ChainOfThought("question -> thought")
        self.say = dspy.Predict("question, thought -> answer")

    async def aforward(self, question: str):
        first, second = await asyncio.gather(self.think.acall(question=question), self.think.acall(question=question))
        return await self.say.acall(question=question, thought=first.thought + second.thought)
""",
        predictors=("think.predict", "say"),
    ),
    Shape(
        "retrieval over a file of its own",
        """
import json
from pathlib import Path

from helpers.text import clean
from helpers.ranking import best

TERMS = json.loads(Path("data/terms.json").read_text())
SAME = json.loads((Path(__file__).parent / "data" / "terms.json").read_text())


class Look(dspy.Module):
    def __init__(self):
        super().__init__()
        assert TERMS == SAME
        self.answer = dspy.ChainOfThought("context: list[str], question -> answer")

    def forward(self, question):
        return self.answer(context=best(TERMS, clean(question)), question=question)
""",
        files={
            "data/terms.json": '{"item": "a thing", "kilo": "a thousand"}',
            "helpers/__init__.py": "",
            "helpers/text.py": "def clean(text):\n    return text.lower().strip('?')\n",
            "helpers/ranking.py": "from .text import clean\n\n\ndef best(terms, text):\n"
            "    return [said for term, said in terms.items() if term in clean(text)]\n",
        },
        predictors=("answer.predict",),
    ),
    Shape(
        "an index that nothing can pickle",
        """
import threading

import numpy as np


def embed(texts):
    return np.array([[len(text), text.count("e"), 1.0] for text in texts], dtype=np.float32)


class Rag(dspy.Module):
    def __init__(self, k=2):
        super().__init__()
        self.lock = threading.Lock()
        self.search = dspy.retrievers.Embeddings(["one", "three", "seventeen"], dspy.Embedder(embed), k=k)
        self.answer = dspy.Predict("context, question -> answer")

    def forward(self, question):
        with self.lock:
            context = self.search(question).passages
        return self.answer(context=context, question=question)
""",
        predictors=("answer",),
    ),
    Shape(
        "program of thought",
        """
class Computes(dspy.Module):
    def __init__(self):
        super().__init__()
        self.compute = dspy.ProgramOfThought("question -> answer", max_iters=2)

    def forward(self, question):
        return self.compute(question=question)
""",
        predictors=(
            "compute.code_generate.predict",
            "compute.code_regenerate.predict",
            "compute.generate_output.predict",
        ),
    ),
    Shape(
        "acts by code",
        """
def double(number: int) -> int:
    \"\"\"Twice as much.\"\"\"
    return 2 * number


class Acts(dspy.Module):
    def __init__(self):
        super().__init__()
        self.act = dspy.CodeAct("question -> answer", tools=[double], max_iters=2)

    def forward(self, question):
        return self.act(question=question)
""",
        predictors=("act.codeact", "act.extractor.predict"),
    ),
    Shape(
        "recursive",
        """
class Recursive(dspy.Module):
    def __init__(self):
        super().__init__()
        self.explore = dspy.RLM("question -> answer", max_iters=2, max_llm_calls=2)

    def forward(self, question):
        return self.explore(question=question)
""",
        predictors=("explore.generate_action", "explore.extract"),
    ),
    Shape(
        "a signature beside it",
        """
class Uses(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict(Ask)

    def forward(self, question: Question) -> dspy.Prediction:
        return self.answer(question=question)
""",
        signature='''
Question = str


class Ask(dspy.Signature):
    """Answer."""

    question: Question = dspy.InputField()
    answer: str = dspy.OutputField()
''',
        predictors=("answer",),
    ),
    Shape(
        "keyword arguments alone",
        forward("return self.answer(**inputs)", "self, **inputs"),
        predictors=("answer",),
        rows=lambda model: questions(model, note="not asked for"),
    ),
    Shape(
        "a default that no column fills",
        forward("return self.answer(question=question + hint)", "self, question, hint='', *, answer=None"),
        predictors=("answer",),
    ),
    Shape(
        "types of its own",
        """
from __future__ import annotations

from typing import Literal

import pydantic


class Weight(pydantic.BaseModel):
    value: int
    unit: Literal["kg", "g"] = "kg"


class Weigh(dspy.Signature):
    question: str = dspy.InputField()
    times: int = dspy.InputField()
    answer: Weight = dspy.OutputField()


class Weighs(dspy.Module):
    def __init__(self):
        super().__init__()
        self.weigh = dspy.Predict(Weigh)

    def forward(self, question: str, times: int):
        assert isinstance(times, int)
        return self.weigh(question=question, times=times)
""",
        metric="def metric(gold, pred, trace=None):\n    return gold.answer.value == pred.answer.value\n",
        rows=numbers,
        predictors=("weigh",),
    ),
    Shape(
        "columns of other names",
        ONE,
        columns={"inputs": {"question": "Frage"}, "outputs": {"answer": "Antwort"}},
        rows=renamed,
        predictors=("answer",),
    ),
    Shape(
        "a text as its result",
        forward("return self.answer(question=question).answer"),
        metric="def metric(gold, pred, trace=None):\n    return gold.answer == pred\n",
        predictors=("answer",),
    ),
    Shape(
        "a dict as its result",
        forward("return dict(answer=self.answer(question=question).answer)"),
        metric="def metric(gold, pred, trace=None):\n    return gold.answer == pred['answer']\n",
        predictors=("answer",),
    ),
    Shape(
        "two of its class are there, and one is named",
        ONE + ONE.replace("class One", "class Two"),
        class_name="Two",
        predictors=("answer",),
    ),
    Shape(
        "a module of dspy's with a signature of its own",
        """
class Thinks(dspy.ChainOfThought):
    def __init__(self):
        super().__init__("question -> answer")
""",
        predictors=("predict",),
    ),
    Shape(
        "a frozen part",
        """
class Partly(dspy.Module):
    def __init__(self):
        super().__init__()
        self.done = dspy.ChainOfThought("question -> hint")
        self.done._compiled = True
        self.answer = dspy.Predict("question, hint -> answer")

    def forward(self, question):
        return self.answer(question=question, hint=self.done(question=question).hint)
""",
        predictors=("answer",),
    ),
    Shape(
        "models of the job, by name and for one predictor",
        """
class Routed(dspy.Module):
    def __init__(self):
        super().__init__()
        self.check = dspy.Predict("question -> kind")
        self.check.lm = models["default"].copy(temperature=0.7)
        self.answer = dspy.Predict("question, kind -> answer")

    def forward(self, question):
        kind = self.check(question=question).kind
        with dspy.context(lm=models["reflection"]):
            return self.answer(question=question, kind=kind)
""",
        predictors=("check", "answer"),
    ),
    Shape(
        "its class in a file",
        "from app.flow import Flow\n",
        files={
            "app/__init__.py": "",
            "app/flow.py": "import dspy\nfrom app.signatures import Ask\n\n\nclass Flow(dspy.Module):\n"
            "    def __init__(self):\n        super().__init__()\n        self.ask = dspy.Predict(Ask)\n\n"
            "    def forward(self, question):\n        return self.ask(question=question)\n",
            "app/signatures.py": 'import dspy\n\n\nclass Ask(dspy.Signature):\n    """Answer."""\n\n'
            "    question: str = dspy.InputField()\n    answer: str = dspy.OutputField()\n",
        },
        predictors=("ask",),
    ),
    Shape(
        "imports from its own place",
        "from .parts import make\n\n\nclass Relative(dspy.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.answer = make()\n\n"
        "    def forward(self, question):\n        return self.answer(question=question)\n",
        files={
            "parts.py": "def make():\n    assert models['default']\n    return dspy.Predict('question -> answer')\n"
        },
        predictors=("answer",),
    ),
]

UNRULY = [
    Shape(
        "forks as it is imported",
        "import os\nimport sys\n\nif os.fork() == 0:\n    sys.exit(3)\nif os.fork() == 0:\n    STOPS = False\n" + ONE,
        predictors=("answer",),
    ),
    Shape(
        "forks at every call",
        forward("os.fork()\n        return self.answer(question=question)").replace(
            "class One", "import os\n\n\nclass One"
        ),
        predictors=("answer",),
    ),
    Shape(
        "configures dspy as it is imported",
        "dspy.configure(lm=dspy.LM('openai/another', api_key='none'), max_errors=1, num_threads=1)\n" + ONE,
        predictors=("answer",),
    ),
]
"""They act on the process that they run in, so they are optimized and not built anew by the tests' own processes."""


def _refused(name: str, code: str, said: str, **more: Any) -> Shape:
    return Shape(name, code, refused=said, **more)


REFUSED = [
    _refused("no module", "answer = 42\n", "defines no class derived from dspy.Module"),
    _refused("an object alone", "program = dspy.Predict('a -> b')\n", "defines no class derived from dspy.Module"),
    _refused(
        "two modules", ONE + ONE.replace("class One", "class Two"), "several modules: 'One', 'Two'. Name the one to"
    ),
    _refused("another name", ONE, "has no class 'Other'; it has 'One'", class_name="Other"),
    _refused("no class", ONE + "\nthing = 3\n", "'thing' in the program's code is no class", class_name="thing"),
    _refused(
        "needs an argument",
        ONE.replace("__init__(self)", "__init__(self, k)"),
        "The constructor of 'One' needs 'k', which module_kwargs",
    ),
    _refused("an argument too many", ONE, "takes no 'k'", kwargs={"k": 3}),
    _refused(
        "a constructor that raises",
        BROKEN_CONSTRUCTOR.format("1 / 0"),
        "The constructor of 'One' failed at line 5: ZeroDivisionError",
    ),
    _refused("syntax", "class One(:\n", "The program's code failed at line 1: SyntaxError"),
    _refused("exits", "import sys\nsys.exit(1)\n", "failed at line 2: it calls sys.exit"),
    _refused(
        "a package that is not there",
        "import nosuchpackage.of_mine\n" + ONE,
        "'nosuchpackage' is no package of this runner and no file of the program: send it in program_files",
    ),
    _refused(
        "a package that a file imports",
        "from helper import x\n" + ONE,
        "failed at line 1 of helper.py: ModuleNotFoundError",
        files={"helper.py": "import nosuchpackage\n"},
    ),
    _refused(
        "a file that is not there",
        "TERMS = open('data/terms.csv').read()\n" + ONE,
        "A file that the program reads has to come with it, in program_files",
    ),
    _refused(
        "a file that its constructor looks for",
        BROKEN_CONSTRUCTOR.format("open('data/terms.csv')"),
        "No such file or directory: 'data/terms.csv'. A file that the program reads has to come with it",
    ),
    _refused(
        "hangs",
        BROKEN_CONSTRUCTOR.format("\n        while True:\n            pass"),
        "The program's code was not loaded after 1 seconds: it hangs",
    ),
    _refused(
        "no predictors",
        "class One(dspy.Module):\n    def forward(self, question):\n        return question\n",
        "no pred",
    ),
    _refused(
        "predictors made at every call",
        "class One(dspy.Module):\n    def forward(self, question):\n"
        "        return dspy.Predict('question -> answer')(question=question)\n",
        "'One' has no predictor that an optimizer can see, so it would come back unchanged. Make the predictors",
    ),
    _refused("a list in a list", nested("[[{}]]", "[0][0]"), "DSPy does not look as deep as 'parts[0][0]'"),
    _refused("a list in a dict", nested("{{'a': [{}]}}", "['a'][0]"), "DSPy does not look as deep as 'parts[a][0]'"),
    _refused("any positions", forward("return self.answer(question=args[0])", "self, *args"), "takes *args, and rows"),
    _refused(
        "by its position alone",
        forward("return self.answer(question=question)", "self, question, /"),
        "takes 'question' by its position alone",
    ),
    _refused("no inputs", forward("return self.answer(question='?')", "self"), "takes no inputs"),
    _refused("no forward", ONE.replace("forward", "answer_it"), "'One' has no forward"),
    _refused("an async forward", ONE.replace("def forward", "async def forward"), "is async: name it aforward"),
    _refused(
        "a lock beside its predictors",
        "import threading\n\n\nclass One(dspy.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.parts = [dspy.Predict('question -> answer'), threading.Lock()]\n\n"
        "    def forward(self, question):\n        return self.parts[0](question=question)\n",
        "a copy has no predictor 'parts[0]' of its own, because of its attribute 'parts' (TypeError: cannot pickle",
    ),
    _refused(
        "a column that is not there",
        forward("return self.answer(question=question)", "self, question, context"),
        "The program's inputs 'context' have no column: name one in column_mapping.inputs",
        reason="InvalidMapping",
    ),
    _refused(
        "an input that it does not have",
        ONE,
        "names 'query'; the program's inputs are 'question'",
        columns={"inputs": {"query": "question"}},
        reason="InvalidMapping",
    ),
    _refused(
        "a cell of another type",
        forward("return self.answer(question=question)", "self, question: int"),
        "dataset[0], column 'question': field 'question' (int)",
        reason="InvalidDataset",
    ),
    _refused(
        "raises on every row",
        forward("return {}[question]"),
        "The program failed on every row that it was tried on: KeyError",
        reason="ProgramFailed",
    ),
    _refused(
        "reads a file at its first call",
        forward("return open('data/terms.csv').read()"),
        "A file that the program reads has to come with it",
        reason="ProgramFailed",
    ),
    _refused("returns nothing", forward("self.answer(question=question)"), "it returned None", reason="ProgramFailed"),
    _refused(
        "configures dspy at every call",
        forward("dspy.configure(lm=models['default'].copy())\n        return self.answer(question=question)"),
        "calls dspy.configure, which would fail in the optimizer's threads: use dspy.context",
    ),
    _refused(
        "a field that dspy keeps for itself",
        "class One(dspy.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.answer = dspy.Predict('question, demos -> answer')\n\n"
        "    def forward(self, question):\n        return self.answer(question=question, demos='none')\n",
        "The program's predictor 'answer' cannot be used: the input field 'demos' has a name",
    ),
]
