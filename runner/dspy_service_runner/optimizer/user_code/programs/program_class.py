"""Finds the class of a program, makes the program, and refuses what optimizers would return unchanged or score 0."""

import copy
import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dspy
from dspy.utils.syncify import run_async

from dspy_service_runner.optimizer.failures import JobFailed, quoted
from dspy_service_runner.optimizer.user_code.source import explained, user_line

REASON = "InvalidProgram"


def find_program_class(module: types.ModuleType, name: str, others: Iterable[str] = ()) -> type[dspy.Module]:
    """The one of this name, else the only one of the code that no other class there derives from or builds.

    `others`: names of further modules of the user, whose classes count where the code itself defines none.
    """
    if name:
        return _named(module, name)
    modules = [value for value in vars(module).values() if _is_module_class(value)]
    own = [value for value in modules if value.__module__ == module.__name__]
    found = list(dict.fromkeys(own or [value for value in modules if value.__module__ in set(others)]))
    mains = [each for each in found if not any(_rests_on(other, each) for other in found if other is not each)]
    if len(mains) == 1:
        main: type[dspy.Module] = mains[0]
        return main
    if not found:
        raise JobFailed(
            REASON,
            "The program's code defines no class derived from dspy.Module. Give the program as such a class, with its "
            "predictors made in __init__ and called in forward.",
        )
    names = ", ".join(repr(each.__name__) for each in mains or found)
    raise JobFailed(
        REASON,
        f"The program's code defines several modules: {names}. Name the one to optimize by module_name (in a resource: "
        "spec.program.name).",
    )


def construct(program_class: type[dspy.Module], kwargs: Mapping[str, Any]) -> dspy.Module:
    name = program_class.__name__
    _check_arguments(program_class, kwargs)
    try:
        made = program_class(**kwargs)
    except (Exception, SystemExit) as error:
        raise JobFailed(REASON, f"The constructor of '{name}' failed{user_line(error)}: {explained(error)}") from error
    if not isinstance(made, dspy.Module):
        raise JobFailed(REASON, f"'{name}' makes a {type(made).__name__}, which is no dspy.Module.")
    return made


def forward_of(module: dspy.Module) -> Any:
    """The function that a call of the module runs. One that has `aforward` alone gets a `forward` of its class, which
    every copy of it then has too."""
    kind, name = type(module), type(module).__name__
    forward = vars(module).get("forward") or getattr(kind, "forward", None)
    if forward is None and hasattr(kind, "aforward"):
        kind.forward = _waiting(kind)
        return kind.aforward
    if forward is None:
        raise JobFailed(REASON, f"'{name}' has no forward: it is the method that a call of the program runs.")
    if inspect.iscoroutinefunction(forward):
        raise JobFailed(REASON, f"The forward of '{name}' is async: name it aforward, as DSPy does.")
    return forward


def check_predictors(module: dspy.Module) -> list[str]:
    """Refuses a program of which DSPy sees no predictor: optimizers would return it unchanged. Returns the paths of
    those that it does not see beside others that it does."""
    visible = {id(predictor) for _, predictor in module.named_predictors()}
    hidden = [
        path.removeprefix("self.")
        for path, each in module.named_sub_modules(dspy.Predict)
        if id(each) not in visible and each is not module
    ]
    if visible:
        return hidden
    why = f" {_because_of(hidden)}" if hidden else ""
    raise JobFailed(
        REASON,
        f"'{type(module).__name__}' has no predictor that an optimizer can see, so it would come back unchanged.{why} "
        "Make the predictors in __init__ and keep each in an attribute of its own, or in a list or dict of them; one "
        "that forward makes is new in every call.",
    )


def check_copies(module: dspy.Module) -> None:
    """Optimizers change copies. DSPy's copy of what cannot be copied shares it, predictors included: then they would
    change the program itself."""
    own = {id(predictor): path for path, predictor in module.named_predictors()}
    try:
        copied = module.deepcopy()
        found = dict(copied.named_predictors())
    except Exception as error:
        raise JobFailed(
            REASON,
            f"'{type(module).__name__}' cannot be copied{user_line(error)}, as optimizers must: {explained(error)}",
        ) from error
    shared = [path for path, predictor in found.items() if id(predictor) in own]
    if shared or set(found) != set(own.values()):
        lost = shared or sorted(set(own.values()) - set(found))
        raise JobFailed(
            REASON,
            f"'{type(module).__name__}' cannot be copied, as optimizers must: a copy has no predictor "
            f"{', '.join(map(repr, lost))} of its own{_uncopied(module)}. Keep what cannot be copied (locks, "
            "connections, files) in an attribute of its own, apart from predictors.",
        )


def _named(module: types.ModuleType, name: str) -> type[dspy.Module]:
    found: Any = vars(module).get(name)
    if _is_module_class(found):
        named: type[dspy.Module] = found
        return named
    if found is not None:
        raise JobFailed(REASON, f"'{name}' in the program's code is no class derived from dspy.Module.")
    there = [value.__name__ for value in vars(module).values() if _is_module_class(value)]
    known = f"; it has {', '.join(map(repr, dict.fromkeys(there)))}" if there else ""
    raise JobFailed(REASON, f"The program's code has no class '{name}'{known}.")


def _is_module_class(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, dspy.Module) and not value.__module__.startswith("dspy.")


def _rests_on(other: type, module: type) -> bool:
    """Whether a class derives from this one, or names it in a method, as one does that builds it."""
    return issubclass(other, module) or module.__name__ in set(_names_in(vars(other).values()))


def _names_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        function = getattr(value, "__func__", value)
        code = function if isinstance(function, types.CodeType) else getattr(function, "__code__", None)
        if isinstance(code, types.CodeType):
            yield from code.co_names
            yield from _names_in(code.co_consts)


def _check_arguments(program_class: type[dspy.Module], kwargs: Mapping[str, Any]) -> None:
    name = program_class.__name__
    constructor = inspect.signature(inspect.getattr_static(program_class, "__init__"))
    parameters = list(constructor.parameters.values())[1:]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    missing = [p.name for p in named.values() if p.default is p.empty and p.name not in kwargs]
    if missing:
        raise JobFailed(
            REASON,
            f"The constructor of '{name}' needs {quoted(missing)}, which module_kwargs (in a resource: "
            "spec.program.kwargs) does not give.",
        )
    unknown = [] if open_ended else [given for given in kwargs if given not in named]
    if unknown:
        takes = f"; it takes {quoted(named)}" if named else ""
        raise JobFailed(REASON, f"The constructor of '{name}' takes no {quoted(unknown)}{takes}.")


def _waiting(kind: type[dspy.Module]) -> Any:
    """A function of dspy's and the class's alone, so that a pickle with it needs nothing of ours."""
    forward = types.FunctionType(_forward.__code__, {"run_async": run_async}, "forward")
    forward.__module__, forward.__qualname__ = kind.__module__, f"{kind.__qualname__}.forward"
    return forward


def _forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    return run_async(self.aforward(*args, **kwargs))


def _because_of(hidden: Iterable[str]) -> str:
    return f"DSPy does not look as deep as {quoted(hidden)}, and passes over what is frozen (_compiled)."


def _uncopied(module: dspy.Module) -> str:
    for name, value in vars(module).items():
        try:
            copy.deepcopy(value)
        except Exception as error:
            return f", because of its attribute '{name}' ({explained(error)})"
    return ""
