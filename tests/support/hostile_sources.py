"""Python sources written to be costly to read, each as a function of its length in characters."""

from collections.abc import Callable

Form = Callable[[int], str]


def _many(unit: str, head: str = "", tail: str = "") -> Form:
    return lambda length: head + unit * max((length - len(head) - len(tail)) // len(unit), 1) + tail


def _numbered(unit: str, head: str = "", tail: str = "") -> Form:
    """`unit` holds `{0}`, its number, and `{1}`, the one before."""
    each = len(unit.format(9999, 9999))

    def made(length: int) -> str:
        return head + "".join(unit.format(n, n - 1) for n in range(1, max(length // each, 1) + 1)) + tail

    return made


def _nested(opening: str, closing: str, middle: str = "a") -> Form:
    """Brackets as deep as Python takes them, again and again."""
    return _many(opening * 150 + middle + closing * 150 + "\n")


_BASE = "class A0(dspy.Signature):\n x=dspy.InputField()\n"
_FIELD = " f{0}=dspy.InputField()\n"

CLASSES: dict[str, Form] = {
    "classes in a chain": _numbered("class A{0}(A{1}):\n f{0}=dspy.InputField()\n", _BASE),
    "classes in a chain without fields": _numbered("class A{0}(A{1}):0\n", _BASE),
    "a ladder of diamonds": _numbered(
        "class L{0}(A{1}):\n l=dspy.InputField()\nclass R{0}(A{1}):\n r=dspy.InputField()\nclass A{0}(L{0},R{0}):0\n",
        _BASE,
    ),
    "classes of one base": _numbered("class A{0}(A0):0\n", _BASE),
    "a class of many bases": lambda n: (
        _BASE
        + "".join(f"class B{i}(A0):0\n" for i in range(n // 25))
        + "class C("
        + ",".join(f"B{i}" for i in range(n // 25))
        + "):0\n"
    ),
    "many fields": _numbered(_FIELD, "class A0(dspy.Signature):\n"),
    "many fields below each other": lambda n: (
        _numbered(_FIELD, "class A0(dspy.Signature):\n")(n // 2) + _numbered("class A{0}(A{1}):0\n")(n // 2)
    ),
    "fields of one statement": _many("f=", "class A0(dspy.Signature):\n ", "dspy.InputField()\n"),
    "methods": _numbered(" def f{0}(s):0\n", _BASE),
    "a name used again": _many("class A0(A0):0\n", _BASE),
    "quoted annotations": _numbered(" f{0}:'A'=dspy.InputField()\n", "class A0(dspy.Signature):\n"),
    "a long quoted annotation": _many("a,", _BASE + " f:'", "'=dspy.InputField()\n"),
    "escapes in a quoted annotation": _many("\\x2ca", _BASE + " f:'a", "'=dspy.InputField()\n"),
    "marks in a quoted annotation": _many("\\u0300\\u0323", _BASE + " f:'a", "'=dspy.InputField()\n"),
    "fields by Annotated": _numbered(" f{0}:Annotated[a,dspy.InputField()]\n", _BASE),
    "markers in Annotated": _many("dspy.InputField(),", _BASE + " f:Annotated[a,", "b]\n"),
    "several signatures": _numbered("class A{0}(dspy.Signature):0\n"),
    "classes that are no signatures": _numbered("class A{0}:0\n"),
    "aliases of aliases": _numbered("a{0}=a{1}.bbbbbbbbbbbbbbbb\n", "a0=dspy\n"),
    "names of a long module": lambda n: (
        "from " + "a" * (n // 2) + " import " + ",".join(f"b{i}" for i in range(n // 12)) + "\n"
    ),
    "a name bound to itself": _many("a=a.a\n", "a=dspy\n"),
    "classes below conditions": _many("if a:\n class A:0\n"),
    "calls on signatures": _many("A0.x()\n", _BASE),
    "calls in calls": _many("a(" * 90 + ")" * 90 + "\n"),
}
"""What the readers themselves look at."""

_PROGRAM = "class M0(dspy.Module):\n def forward(s,q):0\n"
_MAKING = "class M(dspy.Module):\n def forward(s,q):0\n def __init__(s):\n  s.p=dspy.Predict('q->a')\n"

PROGRAMS: dict[str, Form] = {
    "modules in a chain": _numbered("class M{0}(M{1}):0\n", _PROGRAM),
    "modules in a chain with constructors": _numbered(
        "class M{0}(M{1}):\n def __init__(s):\n  super().__init__()\n", _PROGRAM
    ),
    "a ladder of modules": _numbered("class L{0}(M{1}):0\nclass R{0}(M{1}):0\nclass M{0}(L{0},R{0}):0\n", _PROGRAM),
    "modules of one base": _numbered("class M{0}(M0):0\n", _PROGRAM),
    "modules that build the one before": _numbered(
        "class M{0}(dspy.Module):\n def forward(s):0\n def __init__(s):\n  s.m=M{1}()\n", _PROGRAM
    ),
    "modules that build the first": _numbered(
        "class M{0}(dspy.Module):\n def forward(s):0\n def __init__(s):\n  s.m=M0()\n", _PROGRAM
    ),
    "a module that builds a chain of others": lambda n: (
        _numbered("class M{0}(M{1}):0\n", _PROGRAM)(n // 2)
        + _numbered("  s.m{0}=M{0}()\n", "class M(dspy.Module):\n def forward(s):0\n def __init__(s):\n")(n // 2)
    ),
    "modules that build themselves": _numbered("class M{0}(dspy.Module):\n def __init__(s):s.m=M{0}()\n"),
    "modules that mention all": _many("  M0;M1\n", _PROGRAM + "class M1(dspy.Module):\n def forward(s):\n"),
    "several modules": _numbered("class M{0}(dspy.Module):0\n"),
    "modules of an unknown base": _numbered("class M{0}(X):0\n"),
    "modules below conditions": _many("if a:\n class M(dspy.Module):0\n"),
    "predictors": _numbered("  s.p{0}=dspy.Predict('q->a')\n", _MAKING),
    "predictors in a list": _many("dspy.Predict('q->a'),", _MAKING + "  s.l=[", "]\n"),
    "predictors in deep lists": _many("[" * 40 + "dspy.Predict('q->a')" + "]" * 40 + ",", _MAKING + "  s.l=[", "]\n"),
    "modules around modules": _many("  s.m=" + "dspy.Refine(" * 80 + "M()" + ")" * 80 + "\n", _MAKING),
    "predictors of one deep signature": lambda n: (
        _numbered("class A{0}(A{1}):\n f{0}=dspy.InputField()\n", _BASE)(n // 2)
        + _numbered("  s.p{0}=dspy.Predict(A9)\n", _MAKING)(n // 2)
    ),
    "predictors of a chain of signatures": lambda n: (
        _numbered("class A{0}(A{1}):\n f{0}=dspy.InputField()\n", _BASE)(n // 2)
        + _numbered("  s.p{0}=dspy.Predict(A{0})\n", _MAKING)(n // 2)
    ),
    "a long signature": _many("q,", _MAKING + "  s.s=dspy.Predict('", "->a')\n"),
    "instructions of instructions": _many(".with_instructions(a)", _MAKING + "  s.s=dspy.Predict(A", ")\n"),
    "texts of texts": _numbered("a{0}=a{1}\n", "a0='q->a'\n"),
    "inert statements": _numbered("  s.a{0}=len(str({0}))\n", _MAKING),
    "parameters": _numbered("a{0}:int,", "class M(dspy.Module):\n def forward(s,", "q):0\n"),
    "a union as annotation": _many("None|", "class M(dspy.Module):\n def forward(s,q:", "None):0\n"),
    "methods of a module": _numbered(" def f{0}(s):dspy.Predict('q->a')\n", _MAKING),
    "attributes of a class": _numbered(" a{0}=0\n", _PROGRAM),
    "imports of files": _numbered("from a{0} import M{1}\n"),
}
"""What the reader of programs looks at besides."""

TEXTS: dict[str, Form] = {
    "minus signs": _many("-", tail="1"),
    "not": _many("not ", tail="1"),
    "a tuple": _many("a,"),
    "numbers": _many("1,", "x=[", "1]"),
    "lines": _many("a\n"),
    "statements on a line": _many("a;"),
    "calls": _many("a()\n"),
    "calls of calls": _many("()", "a"),
    "subscripts of subscripts": _many("[0]", "a"),
    "attributes of attributes": _many(".a", "a"),
    "a sum": _many("+a", "a"),
    "powers": _many("**a", "a"),
    "comparisons": _many("<a", "a"),
    "and": _many(" and a", "a"),
    "words without spaces": _many("1or", tail="1"),
    "conditional expressions": _many(" if a else a", "a"),
    "lambdas": _many("lambda:", tail="1"),
    "lambdas as defaults": _many("lambda a=", tail="1"),
    "open brackets": _many("[", "x="),
    "nested lists": _nested("[", "]"),
    "nested tuples": _nested("(", ")"),
    "nested dicts": _nested("{1:", "}"),
    "nested calls": _nested("f(", ")"),
    "nested subscripts": _nested("a[:", "]"),
    "nested comprehensions": _nested("[", " for a in b]"),
    "nested patterns": _many("match a:\n case " + "A(" * 90 + "1" + ")" * 90 + ":0\n"),
    "alternatives": _many("1|", "match a:\n case ", "1:0\n"),
    "match as a name": _many("match(a)\n"),
    "starred arguments": _many("*a,", "f(", ")"),
    "fields of an f-string": _many("{a}", "f'", "'"),
    "f-strings": _many("f'{a}'\n"),
    "f-strings in a row": _many("f'{a}' ", "x="),
    "strings in a row": _many("'' ", "x="),
    "a hexadecimal number": _many("f", "x=0x"),
    "a decimal number": _many("9", "x="),
    "decimal numbers": _many("9" * 4299 + "\n"),
    "digits after the point": _many("1", "x=0."),
    "ligatures": _many("\ufb01\n"),
    "a name of ligatures": _many("\ufdfa", "x"),
    "combining marks": _many("\u0300\u0323", "a"),
    "marks that fall apart": _many("\u0f73", "a"),
    "marks within the bound": _many("a" + "\u0300\u0323" * 15 + "\n"),
    "continued lines": _many("\\\n", tail="a"),
    "deep indentation": _many("".join(" " * n + "if a:\n" for n in range(99)) + " " * 99 + "a\n"),
    "decorators": _many("@a\n", tail="class A:0\n"),
    "functions": _numbered("def f{0}():0\n"),
    "arguments": _numbered("a{0},", "def f(", "):0\n"),
    "star imports": _many("from a import *\n"),
    "imports": _many("a,", "import ", "a\n"),
    "del": _many("a,", "del ", "a\n"),
    "global": _many("a,", "global ", "a\n"),
    "assignment expressions": _many("(a:=1)\n"),
    "assignments in a row": _many("a=", tail="1\n"),
    "try": _many("try:a\nexcept:a\n"),
    "elif": _many("elif a:a\n", "if a:a\n"),
    "yield": _many(" yield\n", "def metric(a, b):\n"),
    "for in a comprehension": _many(" for a in a", "[a", "]"),
    "comments": _many("#\n"),
    "a long comment": _many("#"),
    "empty lines": _many("\n"),
    "form feeds": _many("\f"),
    "tabs": _many("\t", tail="a"),
    "a long string": _many("a", "'", "'"),
    "escapes": _many("\\n", "'", "'"),
    "invalid escapes": _many("\\d", "'", "'"),
    "named characters": _many("\\N{LATIN SMALL LETTER A}", "'", "'"),
    "a string without an end": _many("a", "'''"),
    "an error at the end": _many("a=1\n", tail="="),
    "an error at the end of a tuple": _many("a,", tail="a b"),
    "an error in a call": _many("a,", "f(", "a for a in a, b c)"),
    "another encoding": _many("a\n", "# coding: utf-16\n"),
    "null bytes": _many("a\0"),
    "byte order marks": _many("\ufeff"),
    "lone surrogates": _many("'\ud800'\n"),
}
"""What is costly to parse."""

FORMS = CLASSES | PROGRAMS | TEXTS
