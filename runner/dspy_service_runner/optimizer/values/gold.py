"""The examples that a metric gets: `gold` has every column of its row, and attributes are values, not methods.

DSPy's examples have methods with common names (`items`, `keys`, `labels`, `copy`, ...), which hide a field or column of
that name. Inside DSPy the methods must win, but a metric means the value. So the metric gets a view in which values
win; it is made only if an example has such a name.
"""

from typing import Any

import dspy

from dspy_service_runner.optimizer.values.rows import row_of

_METHODS = frozenset(name for name in dir(dspy.Prediction) if not name.startswith("_"))


def gold_of(example: Any, *, as_sent: bool = False) -> Any:
    """Fields win over other columns of the same name. `as_sent`: gold outputs are the cells as they were sent, not
    converted to types."""
    row = row_of(example)
    if row is None:
        return values_first(example)
    store = dict(row.others) | example._store
    gold = dspy.Example(store | row.gold if as_sent else store)
    gold._input_keys = example._input_keys
    return values_first(gold)


def values_first(example: Any) -> Any:
    if not isinstance(example, dspy.Example) or _METHODS.isdisjoint(example._store):
        return example
    view = object.__new__(_ViewOfPrediction if isinstance(example, dspy.Prediction) else _ViewOfExample)
    view.__dict__ = example.__dict__
    return view


def prediction_of(prediction: Any, gold: Any, text_or_none: frozenset[str]) -> Any:
    """For a field of text or None, DSPy's chat adapter returns the text "None" that a model writes for None.

    It is read as None only if the gold is None, because elsewhere "None" may be meant as text.
    """
    if not text_or_none or not isinstance(prediction, dspy.Prediction):
        return values_first(prediction)
    none = {n: None for n in text_or_none if _is_none(gold, n) and _says_none(prediction._store.get(n))}
    if not none:
        return values_first(prediction)
    read = object.__new__(dspy.Prediction)
    read.__dict__ = {**prediction.__dict__, "_store": prediction._store | none}
    return values_first(read)


def _is_none(gold: Any, name: str) -> bool:
    return isinstance(gold, dspy.Example) and name in gold._store and gold._store[name] is None


def _says_none(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in ("", "none", "null")


class _ValuesFirst:
    """A view of another example: it shares the content, but a value goes before a method of the same name."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            store = object.__getattribute__(self, "__dict__").get("_store", ())
            if name in store:
                return store[name]
        return super().__getattribute__(name)

    def labels(self) -> Any:
        return values_first(self._plain().labels())

    def without(self, *keys: str) -> Any:
        return values_first(self._plain().without(*keys))

    def with_inputs(self, *keys: str) -> Any:
        return values_first(self._plain().with_inputs(*keys))

    def _plain(self) -> Any:
        """The example without the view, for DSPy's own methods: they call each other, and must not find values."""
        plain = object.__new__(dspy.Prediction if isinstance(self, dspy.Prediction) else dspy.Example)
        plain.__dict__ = self.__dict__
        return plain


class _ViewOfExample(_ValuesFirst, dspy.Example):  # type: ignore[misc]  # dspy is untyped
    pass


class _ViewOfPrediction(_ValuesFirst, dspy.Prediction):  # type: ignore[misc]
    pass
