"""Decides what each parameter of a task's function is filled from.

A parameter gets a field of the payload, the whole payload, the `Context`, or a value that the app
provides. A combination that could never work is refused when the task is defined.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from toril.core.errors import InvalidOptionError
from toril.engine.context import Context
from toril.tasks.inject import Provided

_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_EMPTY = inspect.Parameter.empty
_CONTEXT_WORDS = ("context", "ctx")


class Whole:
    """The mark that `WholePayload` leaves in an annotation."""


T = TypeVar("T")
WholePayload = Annotated[T, Whole()]
"""A parameter of this type gets the payload itself, whatever JSON it is, and not a field of it."""


@dataclass
class Parameters:
    """The parameters of a function."""

    context: str | None = None
    """The one that takes the `Context`."""
    provided: dict[str, type] = field(default_factory=dict)
    """Those that the app provides."""
    whole: inspect.Parameter | None = None
    """The one that takes the whole payload."""
    fields: list[inspect.Parameter] = field(default_factory=list)
    """Those that are fields of the payload. Their annotations are types, not texts."""
    returns: Any = Any
    """What the function returns."""


def read_parameters(task: str, function: Callable[..., Any]) -> Parameters:
    """Return what the parameters of a function get.

    Raises:
        InvalidOptionError: One can get nothing; the message says which and why.
    """
    hints = _hints(task, function)
    found = Parameters(returns=hints.get("return", Any))
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        parameter = parameter.replace(annotation=hints.get(parameter.name, _EMPTY))
        if _is_context(task, parameter, position):
            _require(found.context is None, task, parameter, "one parameter of Context")
            found.context = parameter.name
        elif isinstance(parameter.default, Provided):
            found.provided[parameter.name] = parameter.default.kind
        else:
            _check_field(task, parameter, position)
            if _is_whole(parameter.annotation):
                _require(found.whole is None, task, parameter, "one parameter of WholePayload")
                found.whole = parameter
            else:
                found.fields.append(parameter)
    if found.whole is not None and found.fields:
        raise InvalidOptionError(
            f"task {task!r}, parameter {found.fields[0].name!r}: {found.whole.name!r} takes the"
            " whole payload, so there is nothing left for another; take one or the other"
        )
    return found


def _is_context(task: str, parameter: inspect.Parameter, position: int) -> bool:
    """Whether a parameter takes the `Context`: `Context`, or `Context | None` with a default."""
    hint = _unannotated(parameter.annotation)
    if hint is Context:
        _require(
            position == 0 and parameter.kind in _KINDS,
            task,
            parameter,
            "the Context as first parameter; `Context | None = None` may stand anywhere",
        )
        return True
    if get_origin(hint) not in (Union, UnionType):
        return False
    kinds = [_unannotated(one) for one in get_args(hint)]
    if Context not in kinds:
        return False
    _require(
        set(kinds) == {Context, NoneType} and parameter.kind in _KINDS,
        task,
        parameter,
        "`Context` or `Context | None`: it always is one",
    )
    if position > 0:
        _require(
            parameter.default is not _EMPTY,
            task,
            parameter,
            "a default of None, or the Context as first parameter",
        )
    return True


def _check_field(task: str, parameter: inspect.Parameter, position: int) -> None:
    _require(
        parameter.kind in _KINDS,
        task,
        parameter,
        "named parameters only: they are the fields of the payload",
    )
    if parameter.annotation is not _EMPTY:
        return
    if position == 0 and parameter.name in ("self", "cls"):
        raise InvalidOptionError(
            f"task {task!r}, parameter {parameter.name!r}: expected a function, and this is a"
            " method, which a worker has no object for; define it outside of the class"
        )
    if parameter.name in _CONTEXT_WORDS:
        raise InvalidOptionError(
            f"task {task!r}, parameter {parameter.name!r}: expected an annotation, as in"
            f" '{parameter.name}: Context'; or, if it is a field of the payload, its type (Any will"
            " do)"
        )


def _require(holds: bool, task: str, parameter: inspect.Parameter, expected: str) -> None:
    if not holds:
        name = str(parameter.replace(annotation=_EMPTY, default=_EMPTY))  # with its asterisks
        raise InvalidOptionError(f"task {task!r}, parameter {name!r}: expected {expected}")


def _is_whole(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(
        isinstance(mark, Whole) for mark in hint.__metadata__
    )


def _unannotated(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _hints(task: str, function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type) or not inspect.isroutine(function):
        raise InvalidOptionError(
            f"task {task!r}: expected a function, not {_described(function)}; write a function that"
            " calls it"
        )
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InvalidOptionError(
            f"task {task!r}: {error} when its annotations are read; import the type at run time,"
            " not under TYPE_CHECKING only"
        ) from None
    except Exception as error:  # an annotation may be any text, and says anything when read
        raise InvalidOptionError(
            f"task {task!r}: its annotations cannot be read: {type(error).__name__}: {error}"
        ) from None


def _described(function: object) -> str:
    if isinstance(function, type):
        return f"the class {function.__qualname__}"
    return f"an object of the class {type(function).__qualname__}"
