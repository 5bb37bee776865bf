"""Names that a signature's fields cannot have, because DSPy or pydantic keeps them for itself.

Each was tried with DSPy: some cannot be declared, some are never sent to the model, some vanish from demos, and few of
them cause an error message. Names of methods (`items`, `keys`, `copy`, ...) are allowed: the gold and the prediction
that a metric gets return the field's value under them.
"""

from collections.abc import Iterable, Iterator, Mapping

_ALWAYS = frozenset(
    {
        *("fields", "input_fields", "instructions", "model_config", "output_fields", "signature"),  # its own attributes
        *("augmented", "base", "self"),  # arguments of what makes DSPy's demos
    }
)
_INPUTS = frozenset({"completions", "config", "demos", "lm", "new_signature"})
"""Arguments of `dspy.Predict`."""
_BEGINNINGS = ("_", "dspy_", "model_dump", "model_validate")
"""`_` is private in Python, `dspy_` is hidden by `dspy.Example`, and pydantic reserves the others."""
_OF_MODULES: Mapping[str, frozenset[str]] = {
    "dspy.ChainOfThought": frozenset({"reasoning"}),
    "dspy.CodeAct": frozenset({"max_iters", "trajectory"}),
    "dspy.ProgramOfThought": frozenset({"code_output", "error", "final_generated_code", "previous_code"}),
    "dspy.RLM": frozenset({"iteration", "repl_history", "variables_info"}),
    "dspy.ReAct": frozenset({"max_iters", "trajectory"}),
}
"""Inputs that a module adds by itself, by the module's shortest path."""


def reserved(inputs: Iterable[str], outputs: Iterable[str], module: str = "") -> Iterator[str]:
    """A sentence for each field that has such a name."""
    of_module = _OF_MODULES.get(module, frozenset())
    for name in inputs:
        if name in of_module:
            yield f"the input field '{name}' has a name that {module} gives to a field of its own: rename it"
        elif name in _INPUTS or _always(name):
            yield f"the input field '{name}' has a name that DSPy keeps for itself: rename it"
    for name in outputs:
        if _always(name):
            yield f"the output field '{name}' has a name that DSPy keeps for itself: rename it"


def _always(name: str) -> bool:
    return name in _ALWAYS or name.startswith(_BEGINNINGS)
