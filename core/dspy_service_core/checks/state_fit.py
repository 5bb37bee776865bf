"""Whether a saved state fits a program, told before it is loaded.

`dspy.Module.load_state` fails only for a predictor that the state lacks. It ignores predictors that the program lacks,
takes as many fields as both have, and sets whatever else a predictor's state names as its attributes. So a state of
another program loads in part, and nobody is told.

A state is the JSON that `program.save("x.json")` writes; the program is described by its own state, as `dump_state`
returns it. The Python client has a copy of this file, because it is installed alone; a test holds both to be the same.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

_METADATA = "metadata"
_PREDICTOR = ("traces", "train", "demos", "signature", "fields", "lm")
"""The keys of a predictor's state; any other would become an attribute of the predictor."""
_DEPENDENCIES = frozenset({"python", "dspy", "cloudpickle"})
"""What DSPy compares when it loads; it raises a KeyError for any other."""
_OWN_NAME = re.compile(r"\$\{(.*)\}", re.DOTALL)
"""The description of a field that was given none."""
_LONE = "self"
"""What DSPy calls the predictor of a program that is a predictor itself."""
_SHOWN = 10
"""Names that a sentence lists, and sentences that are told."""
_NAME_LENGTH = 60

State = dict[str, Any]


def read_state(text: str | bytes) -> State:
    """Raises `ValueError` for what is no JSON object."""
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The state is no JSON: {error}.") from None
    if not isinstance(state, dict):
        raise ValueError("The state is no JSON object: it is what program.save('x.json') writes.")
    return state


def misfits(state: Any, program: Mapping[str, Any]) -> list[str]:
    """Sentences, each about one thing that does not fit; none where the whole state can be loaded."""
    if broken := list(islice(shape_problems(state), _SHOWN)):
        return broken
    given, wanted = predictors_of(state), predictors_of(program)
    return [*_names(given, wanted), *islice(_fields(given, wanted), _SHOWN)]


def shape_problems(state: Any) -> Iterator[str]:
    """What can be told without the program."""
    if not isinstance(state, dict):
        yield "The state is no JSON object: it is what program.save('x.json') writes."
        return
    yield from _metadata_problems(state.get(_METADATA))
    predictors = predictors_of(state)
    if not predictors:
        yield "The state holds no predictor."
    for name, predictor in predictors.items():
        yield from _predictor_problems(name, predictor)


def loadable(state: Mapping[str, Any]) -> State:
    """The same state with nothing in it that DSPy would put into a program beside prompts: models and unknown keys."""
    kept = {name: _loadable(predictor) for name, predictor in predictors_of(state).items()}
    return kept[_LONE] if _is_predictor(state) else kept


def _loadable(predictor: Any) -> Any:
    if not _is_predictor(predictor):
        return predictor
    known = {key: value for key, value in predictor.items() if key in _PREDICTOR}
    return {"traces": [], "train": [], "demos": []} | known | {"lm": None}


def _is_predictor(state: Any) -> bool:
    return isinstance(state, Mapping) and isinstance(state.get("signature"), Mapping)


def predictors_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """By name; a program that is a predictor itself has its state at the top."""
    if _is_predictor(state):
        return {_LONE: state}
    return {name: predictor for name, predictor in state.items() if name != _METADATA}


def _metadata_problems(metadata: Any) -> Iterator[str]:
    versions = metadata.get("dependency_versions", {}) if isinstance(metadata, dict) else metadata
    if versions is None:
        return
    if not isinstance(versions, dict):
        yield "The state's metadata holds no dependency_versions."
    elif unknown := sorted(set(versions) - _DEPENDENCIES):
        yield f"The state's metadata names {_listed(unknown)}, which DSPy does not compare: it is of another version."


def _predictor_problems(name: str, predictor: Any) -> Iterator[str]:
    if not isinstance(predictor, dict):
        yield f"The state of {_quoted(name)} is no object."
        return
    if "signature" not in predictor and "demos" not in predictor:
        return  # of a parameter that is no predictor, such as `dspy.Retrieve`
    signature, demos = predictor.get("signature"), predictor.get("demos", [])
    if not isinstance(signature, dict) or not isinstance(signature.get("instructions"), str):
        yield f"The state of the predictor {_quoted(name)} has no signature with instructions."
    elif not _are_fields(signature.get("fields")):
        yield f"The state of the predictor {_quoted(name)} has no list of fields with prefix and description."
    if not isinstance(demos, list) or not all(isinstance(demo, dict) for demo in demos):
        yield f"The demos of the predictor {_quoted(name)} are no list of objects."


def _are_fields(fields: Any) -> bool:
    return isinstance(fields, list) and all(
        isinstance(field, dict) and all(isinstance(field.get(key), str) for key in ("prefix", "description"))
        for field in fields
    )


def _names(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    missing, unknown = [n for n in wanted if n not in given], [n for n in given if n not in wanted]
    if missing:
        yield f"The state lacks {_listed(missing)} of the program; it has {_listed(given)}."
    if unknown:
        yield f"The state has {_listed(unknown)}, which the program lacks; it has {_listed(wanted)}."


def _fields(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for name in wanted:
        if name in given and _is_predictor(given[name]) and _is_predictor(wanted[name]):
            its, own = given[name]["signature"]["fields"], wanted[name]["signature"]["fields"]
            if len(its) != len(own) or not all(map(_same, own, its, _last(own))):
                yield (
                    f"The predictor {_quoted(name)} has the fields {_labels(own)}; in the state it has {_labels(its)}."
                )


def _same(mine: Mapping[str, str], its: Mapping[str, str], last: bool) -> bool:
    """A prefix is made of the field's name. COPRO writes another one, but for the last field alone."""
    return mine["prefix"] == its["prefix"] or (last and mine["description"] == its["description"])


def _last(fields: list[Any]) -> list[bool]:
    return [False] * (len(fields) - 1) + [True]


def _labels(fields: list[Mapping[str, str]]) -> str:
    found = ((_OWN_NAME.fullmatch(field["description"]), field["prefix"]) for field in fields)
    return _listed([own[1] if own else prefix.removesuffix(":") for own, prefix in found])


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(map(_quoted, every[:_SHOWN])) + more


def _quoted(name: str) -> str:
    return f"'{name[:_NAME_LENGTH]}'"
