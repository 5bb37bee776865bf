"""What a job could not have is refused before anything is sent, naming the object, where it is used, and the cure."""

import re
import textwrap
from pathlib import Path

import pytest

from dspy_service import DspyServiceError, build_payload
from live_objects import users_project

ROWS = [{"question": "q", "answer": "a"}]

PROGRAM = """
import dspy
class Answer(dspy.Module):
    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")
    def forward(self, question):
        return self.predict(question=USED)
program = Answer
def metric(gold, pred, trace=None): return gold.answer == pred.answer
"""

PARTS = ", ".join(f"part{n}" for n in range(65))
MORE = """
class More(Answer):
    def __init__(self, k):
        super().__init__()
"""


def using(statements: str) -> str:
    return statements + PROGRAM


REFUSED = {
    "an open file": (using("import os\nUSED = open(os.devnull)"), "USED, which Answer uses, is an open file .* files="),
    "a database": (using("import sqlite3\nUSED = sqlite3.connect(':memory:')"), "USED, .* a connection to a database"),
    "another database": (
        using("class Db:\n    def cursor(self): ...\n    def commit(self): ...\nUSED = Db()"),
        "USED, .* a connection to a database .* connect where it is used",
    ),
    "a socket": (using("import socket\nUSED = socket.socket()\nUSED.close()"), "USED, .* a socket"),
    "a thread": (using("import threading\nUSED = threading.Thread()"), "USED, .* a thread"),
    "a generator": (using("USED = (n for n in 'abc')"), "USED, .* a generator .* make a list"),
    "files in a dict": (using("import os\nUSED = {'a': open(os.devnull)}"), "USED, .* an open file"),
    "a global that no statement binds": (
        using("globals()['USED'] = object()"),
        "USED, which Answer uses, is bound by no statement of users_program",
    ),
    "a value below the guard": (
        using("USED = None\nif __name__ != 'x' or __name__ == '__main__':\n    OTHER = 1\n").replace("=USED", "=OTHER"),
        "Answer uses OTHER, which is bound below",
    ),
    "a key in the source": (
        using("def USED(): return dspy.LM('openai/m', api_key='sk-1234567890')"),
        "The source of USED holds a key as text: .* models=",
    ),
    "a key in a helper file": (using("import keys\nUSED = keys.ask"), "The source of keys holds a key as text"),
    "a variable of this machine": (
        using("import os\nos.environ.setdefault('LIVE_TOKEN', 'x')\nUSED = os.environ['LIVE_TOKEN']"),
        "Answer needs the environment variable LIVE_TOKEN, .* secrets=.*LIVE_TOKEN",
    ),
    "an open file of a helper": (
        using("import opened\nUSED = opened.FILE"),
        "FILE, which opened uses, is an open file",
    ),
    "a compiled module": (using("import fast\nUSED = fast"), r"Answer needs fast \(fast\.so\), which is compiled"),
    "too many files": (
        using(
            "\n".join(f"import part{n}" for n in range(65))
            + "\nUSED = [part0"
            + "".join(f", part{n}" for n in range(1, 65))
            + "]"
        ),
        "imports more than 64 files",
    ),
    "a package that the runner lacks": (
        using("import httpx\nUSED = httpx"),
        "Answer imports httpx of the package httpx, which the service's runner does not have",
    ),
    "a class in a function": (
        using("USED = 1") + "def make():\n    class Inner(Answer): ...\n    return Inner\nprogram = make()()",
        "Inner has no name at the top level",
    ),
    "an object of a class that was defined anew": (
        using("USED = 1") + "program = Answer()\nclass Answer(Answer): ...\n",
        "Answer was defined anew since: make the object again",
    ),
    "a key in a dict": (using("USED = [{'api_key': 'abcdef123456'}]"), "The source of USED holds a key as text"),
    "a password": (using("def USED(): return dict(password='hunter22')"), "The source of USED holds a key as text"),
    "a token of a provider": (using("USED = 'ghp_ABCDEFGHIJKLMNOPQRSTUV'"), "The source of USED holds a key as text"),
    "a constructor with arguments": (
        using("USED = 1")
        + "class More(Answer):\n    def __init__(self, k):\n        super().__init__()\nprogram = More",
        "The constructor of More needs k: give module_kwargs",
    ),
    "arguments that nothing keeps": (
        using("USED = 1") + MORE + "def make(): return More(1)\nprogram = make()",
        "More does not keep what its constructor was given as k: give module_kwargs",
    ),
    "predictors that were added": (
        using("USED = 1") + "program = Answer()\nprogram.more = dspy.Predict('a -> b')",
        r"predictors of this Answer are not those that its constructor makes \(more\)",
    ),
    "an attribute that was set": (
        using("USED = 1")
        + "class Deep(Answer):\n    def __init__(self):\n        super().__init__()\n        self.depth = 1\n"
        + "program = Deep()\nprogram.depth = 5",
        "Deep.depth is 5 and 1 when it is made anew",
    ),
    "a tool that is a closure": (
        using("USED = 1") + "def made(n):\n    def tool(a: int): return a + n\n    return tool\n"
        "program = dspy.ReAct('question -> answer', tools=[made(1)])",
        "tool .* has no name at the top level of its module, and keeps n of the function",
    ),
    "a tool that is a lambda": (
        using("USED = 1") + "program = dspy.ReAct('question -> answer', tools=[dspy.Tool(lambda a: a, name='f')])",
        "The dspy.ReAct: .*lambda.* has no name at the top level",
    ),
    "what is no program": (using("USED = 1") + "program = 3", "program is a int: give a dspy.Module"),
    "a model of a class of its own": (
        using("USED = 1") + "class Mine(dspy.LM): ...\nlm = Mine('openai/m')",
        "lm is a Mine: a model is its name",
    ),
    "a model with callbacks": (
        using("USED = 1") + "lm = dspy.LM('openai/m', callbacks=[object()])",
        "lm has callbacks, which cannot be sent",
    ),
    "different models of predictors": (
        using("USED = 1")
        + "class Two(dspy.Module):\n    def __init__(self):\n        super().__init__()\n"
        + "        self.a, self.b = dspy.Predict('question -> c'), dspy.Predict('c -> answer')\n"
        + "program = Two()\nprogram.a.lm, program.b.lm = dspy.LM('openai/a'), dspy.LM('openai/b')\nlm = None",
        "program has predictors with different models",
    ),
    "no model": (using("USED = 1") + "lm = None", "lm is lacking"),
    "an optimizer of one's own": (
        using("USED = 1") + "class Own:\n    def compile(self): ...\noptimizer = Own()",
        "optimizer is Own of your own",
    ),
    "a callable in an optimizer": (
        using("USED = 1")
        + "optimizer = dspy.GEPA(metric=lambda g, p, t, n, r: 1, auto='light', instruction_proposer=print)\n"
        "metric = None",
        "optimizer.instruction_proposer is a builtin_function_or_method, which cannot be sent",
    ),
    "another metric than the optimizer's": (
        using("USED = 1") + "optimizer = dspy.BootstrapFewShot(metric=lambda g, p: 1)",
        "metric is another than the optimizer was made with",
    ),
    "no metric": (using("USED = 1") + "metric = None", "metric is lacking"),
    "an optimizer that is none": (using("USED = 1") + "optimizer = 3", "optimizer is a int"),
}

FILES = {
    "keys.py": "def ask(): return {'api_key': 0} or dict(api_key='sk-1234567890')\n",
    "opened.py": "import os\nFILE = open(os.devnull)\n",
    **{f"part{n}.py": "" for n in range(65)},
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_carried_is_named(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "fast.so").write_bytes(b"")
    if "import fast" in text:
        text = (
            "import sys, types\nsys.modules['fast'] = made = types.ModuleType('fast')\nmade.__file__ = "
            + repr(str(tmp_path / "fast.so"))
            + "\n"
            + text
        )
    with users_project(tmp_path, {**FILES, "users_program.py": textwrap.dedent(text)}) as module:
        given = {name: getattr(module, name) for name in ("optimizer",) if hasattr(module, name)}
        with pytest.raises(DspyServiceError) as refused:
            build_payload(
                module.program,
                metric=module.metric,
                trainset=ROWS,
                lm=getattr(module, "lm", "openai/m"),
                packages=lambda: ["dspy", "numpy"],
                **given,
            )
    assert re.search(told, str(refused.value)), str(refused.value)
    assert "\n" not in str(refused.value)
    assert "sk-1234567890" not in str(refused.value)


NO_KEYS = [
    "STOP_TOKEN = '<|endoftext|>'",
    "api_key = 'YOUR_API_KEY'",
    "api_key = os.environ.get('OPENAI_API_KEY', '')",
    "secret_santa = 'the one of 1984 that nobody knows'",
    "next_token = 'thought_2'",
    "password_field = 'users.password'",
]


@pytest.mark.parametrize("statement", NO_KEYS)
def test_what_only_looks_like_a_key_is_sent(statement: str, tmp_path: Path) -> None:
    name = statement.partition(" ")[0]
    with users_project(tmp_path, {"users_program.py": f"import os\n{statement}\nUSED = {name}\n{PROGRAM}"}) as module:
        payload = build_payload(module.program, metric=module.metric, trainset=ROWS, lm="openai/m")
    assert statement in payload["program_code"]
