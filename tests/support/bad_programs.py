"""Requests with programs of their own that a submit refuses, each with the field and the cure that its answer names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from run_requests import METRIC, SIGNATURE

Changes = dict[str, Any]

PREDICTOR = "    def __init__(self):\n        self.answer = dspy.Predict('text -> label')\n"
FORWARD = "    def forward(self, text):\n        return self.answer(text=text)\n"
PROGRAM = f"import dspy\n\nclass Sorter(dspy.Module):\n{PREDICTOR}{FORWARD}"
OTHER = PROGRAM.replace("Sorter", "Other")
MOST_FILES, MOST_FILE_BYTES = 64, 4 * 1024 * 1024


def program_rows(count: int) -> list[dict[str, Any]]:
    return [{"text": f"ticket {n}", "label": "billing" if n % 2 else "login", "stars": n} for n in range(count)]


def program_request(**changes: Any) -> dict[str, Any]:
    """`None` leaves a key out."""
    body: dict[str, Any] = {
        "program_code": PROGRAM,
        "metric_code": METRIC,
        "optimizer_name": "miprov2",
        "dataset": program_rows(40),
        "model_config": {"name": "openai/gpt-4o-mini"},
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


def taking(parameters: str, more: str = "") -> Changes:
    """A program whose forward takes these."""
    return {
        "program_code": f"import dspy\n{more}\nclass Sorter(dspy.Module):\n{PREDICTOR}"
        f"    def forward(self, {parameters}):\n        return self.answer(text='')\n"
    }


def built_with(parameters: str, **kwargs: Any) -> Changes:
    """A program whose constructor takes these, and is given those."""
    code = PROGRAM.replace("def __init__(self)", f"def __init__(self, {parameters})")
    return {"program_code": code, "module_kwargs": kwargs}


@dataclass(frozen=True)
class Refused:
    changes: Changes
    words: str
    """What the answer's `detail` says."""
    status: int = 400
    fields: tuple[str, ...] = field(default=())
    """Of a 422."""


def _shape(changes: Changes, *fields: str, words: str) -> Refused:
    return Refused(changes, words, 422, fields)


REFUSED: Mapping[str, Refused] = {
    "no module": Refused(
        {"program_code": "import dspy\nx = 1\n"},
        "program_code defines no class derived from dspy.Module; write it as `class Program(dspy.Module): ...`",
    ),
    "a predictor and no class": Refused(
        {"program_code": "import dspy\nprogram = dspy.Predict('text -> label')\n"},
        "program_code defines no class derived from dspy.Module",
    ),
    "two modules": Refused(
        {"program_code": PROGRAM + OTHER},
        "program_code defines several modules, 'Sorter', 'Other'; name the one to optimize in module_name.",
    ),
    "another class's name": Refused(
        {"module_name": "Sortr"}, "module_name: 'Sortr' is no class in program_code. Its modules: 'Sorter'."
    ),
    "a module of DSPy's as name": Refused({"module_name": "cot"}, "module_name: 'cot' is no class in program_code."),
    "a signature's name": Refused(
        {"module_name": "Ticket", "program_code": f"{PROGRAM}\nclass Ticket(dspy.Signature):\n    pass\n"},
        "module_name: class 'Ticket' in program_code does not derive from dspy.Module.",
    ),
    "a constructor that needs arguments": Refused(
        built_with("depth, *, style"),
        "The constructor of 'Sorter' needs the keyword argument 'depth': give it in module_kwargs.",
    ),
    "one of the constructor's arguments": Refused(
        built_with("depth, *, style", depth=3),
        "The constructor of 'Sorter' needs the keyword argument 'style': give it in module_kwargs.",
    ),
    "an argument that the constructor does not take": Refused(
        built_with("depth=1, style=''", dept=3),
        "The constructor of 'Sorter' has no keyword argument 'dept' (module_kwargs). Supported: depth, style.",
    ),
    "an argument without a constructor": Refused(
        {"program_code": "import dspy\nclass Sorter(dspy.Module):\n" + FORWARD, "module_kwargs": {"depth": 3}},
        "no predictor that an optimizer sees",
    ),
    "a constructor by position": Refused(
        built_with("depth, /", depth=3), "takes 'depth' by position only: leave out the '/'."
    ),
    "a credential among the arguments": Refused(
        built_with("api_key", api_key="k"), "module_kwargs.api_key holds a credential"
    ),
    "no forward": Refused(
        {"program_code": f"import dspy\nclass Sorter(dspy.Module):\n{PREDICTOR}"},
        "program_code: class 'Sorter' has no forward; define `def forward(self, ...)` with its inputs.",
    ),
    "inputs as *args": Refused(
        taking("*rows"), "takes its inputs as *args, and rows arrive by name: name its parameters"
    ),
    "inputs by position": Refused(
        taking("text, /"), "takes 'text' by position only, and rows arrive by name: leave out the '/'."
    ),
    "predictors made in forward": Refused(
        {
            "program_code": "import dspy\nclass Sorter(dspy.Module):\n    def forward(self, text):\n"
            "        return dspy.ChainOfThought('text -> label')(text=text)\n"
        },
        "class 'Sorter' has no predictor that an optimizer sees: dspy.ChainOfThought is made on line 4, when the "
        "program is called; give each to an attribute in __init__",
    ),
    "predictors two containers deep": Refused(
        {"program_code": PROGRAM.replace("dspy.Predict('text -> label')", "{'a': [dspy.Predict('text -> label')]}")},
        "they lie in a list or dict inside another one, where DSPy does not look",
    ),
    "a syntax error": Refused(
        {"program_code": PROGRAM + "def broken(:\n"}, "program_code has a syntax error on line 8"
    ),
    "a syntax error in a file": Refused(
        {"program_code": f"from helpers import text\n{PROGRAM}", "program_files": {"helpers/__init__.py": "x = = 1"}},
        "program_files['helpers/__init__.py'] has a syntax error on line 1",
    ),
    "a syntax error in the signature": Refused(
        {"signature_code": "class Ticket(dspy.Signature:\n"}, "signature_code has a syntax error on line 1"
    ),
    "an import that no file has": Refused(
        {
            "program_code": f"import dspy\nfrom helpers.missing import x\n{PROGRAM}",
            "program_files": {"helpers/__init__.py": ""},
        },
        "program_code, line 2 imports 'helpers.missing', which is none of program_files: send it along.",
    ),
    "a signature's field of DSPy's": Refused(
        {"program_code": PROGRAM.replace("text -> label", "text, config -> label")},
        "program_code: the input field 'config' has a name that DSPy keeps for itself: rename it, in the signature of "
        "the predictor on line 5.",
    ),
    "a parameter that no example can carry": Refused(
        taking("text, base"), "program_code: the input 'base' has a name that DSPy keeps for itself: rename it."
    ),
    "a parameter without a column": Refused(
        taking("text, context"),
        "dataset has no column for 'context', which the forward of 'Sorter' needs. Its columns: 'text', 'label', "
        "'stars'; name one in column_mapping.inputs.",
    ),
    "a parameter without a column beside mapped ones": Refused(
        taking("question, context") | {"column_mapping": {"inputs": {"question": "text"}}},
        "dataset has no column for 'context', which the forward of 'Sorter' needs.",
    ),
    "a mapped input that is no parameter": Refused(
        {"column_mapping": {"inputs": {"question": "text"}}},
        "column_mapping.inputs maps 'question', which the forward of 'Sorter' does not take: text.",
    ),
    "a mapped column that no row has": Refused(
        {"column_mapping": {"inputs": {"text": "txt"}}},
        "dataset[0] lacks column 'txt', to which column_mapping.inputs.text maps.",
    ),
    "a mapped gold that one row lacks": Refused(
        {
            "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
            "dataset": [*program_rows(30), {"text": "x"}],
        },
        "dataset[30] lacks column 'label', to which column_mapping.outputs.label maps.",
    ),
    "a row without a needed column": Refused(
        {"dataset": [*program_rows(30), {"label": "y"}]},
        "dataset[30] lacks column 'text', which the forward of 'Sorter' needs.",
    ),
    "a cell of another type": Refused(
        taking("text: str, stars: int")
        | {"dataset": [*program_rows(30), {"text": "x", "label": "y", "stars": "many"}]},
        "dataset[30], column 'stars': field 'stars' (int): it is no whole number; the cell holds 'many'.",
    ),
    "a program too long": Refused(
        {"program_code": PROGRAM + "# " + "x" * (256 * 1024)}, "characters long; at most 262144 are allowed"
    ),
    "a program of too many words": Refused(
        {"program_code": PROGRAM + "x = 1\n" * 10_000}, "program_code has more than 30000 words, numbers and signs"
    ),
    "files without a program": _shape(
        {
            "program_code": None,
            "module_name": "cot",
            "signature_code": SIGNATURE,
            "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
            "program_files": {"a.py": ""},
        },
        "program_files",
        words="Belongs to program_code",
    ),
    "65 files": _shape(
        {"program_files": {f"f{n}.py": "" for n in range(MOST_FILES + 1)}},
        "program_files",
        words="Holds 65 files; at most 64 are allowed",
    ),
    "files too large": _shape(
        {"program_files": {f"f{n}.txt": "x" * (MOST_FILE_BYTES // 4) for n in range(5)}},
        "program_files",
        words="at most 4194304 are allowed",
    ),
    "a file that is no text": _shape({"program_files": {"a.py": 3}}, "program_files['a.py']", words="Should be text"),
    **{
        f"a file at {path!r}": _shape({"program_files": {path: "x = 1"}}, f"program_files[{path!r}]", words=words)
        for path, words in {
            "../up.py": "plain and relative",
            "/etc/passwd": "plain and relative",
            "a//b.py": "plain and relative",
            ".hidden": "plain and relative",
            "a\\b.py": "plain and relative",
            "": "1 to 128 characters",
            "x" * 129: "1 to 128 characters",
            "json.py": "Python's own module 'json'",
            "dspy/__init__.py": "the module 'dspy' of DSPy or of this service",
            "dspy_service_core/x.py": "the module 'dspy_service_core' of DSPy or of this service",
            "pydantic.py": "the package 'pydantic', which DSPy needs",
        }.items()
    },
}

ACCEPTED: Mapping[str, Changes] = {
    "as it is": {},
    "the class's name": {"module_name": "Sorter"},
    "one of two by its name": {"program_code": PROGRAM + OTHER, "module_name": "Other"},
    "a renamed column": taking("question") | {"column_mapping": {"inputs": {"question": "text"}}},
    "an optional parameter without a column": taking("text, context=''"),
    "any keywords": taking("**inputs"),
    "any keywords, some mapped": taking("**inputs") | {"column_mapping": {"inputs": {"whatever": "text"}}},
    "a parameter named as DSPy's": taking("text, config=None, lm=None"),
    "an output without gold": {"dataset": [{"text": f"t{n}"} for n in range(40)]},
    "an output without gold, said": {"column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": None}}},
    "arguments": built_with("depth, *, style=''", depth=3, style="x"),
    "any arguments": built_with("**settings", depth=3),
    "a cell of the type": taking("text: str, stars: int"),
    "names from the signature's code": {
        "signature_code": "class A(dspy.Signature):\n    text: str = dspy.InputField()\nclass B(A):\n    pass\nC = B\n",
        "program_code": PROGRAM.replace("'text -> label'", "A"),
    },
    "files": {
        "program_code": f"from helpers.text import clean\nimport numpy\n{PROGRAM}",
        "program_files": {"helpers/text.py": "def clean(text): return text\n", "data/terms.csv": "a,b\n"},
    },
    "packages that nobody knows here": {"program_code": f"import acme.tools\nfrom acme2 import x\n{PROGRAM}"},
    "a base class from elsewhere": {"program_code": "from acme import Base\nclass Sorter(Base): ...\n"},
    "64 files": {"program_files": {f"f{n}.py": "" for n in range(MOST_FILES)}},
    "aforward alone": {"program_code": PROGRAM.replace("def forward", "async def aforward")},
}
