"""Errors that stand for another error that cannot be raised in the worker.

The other error came from a child process and cannot be made here, or it would end the worker, as
`SystemExit` does. Rules about classes (`retry_on`, `give_up_on`) are applied to its classes.
"""

from __future__ import annotations

from typing import TypeVar

_KINDS = "_toril_stands_for"

E = TypeVar("E", bound=BaseException)


def standing_for(error: E, kinds: tuple[type[BaseException], ...]) -> E:
    """Let an error stand for one of these classes, and return it."""
    setattr(error, _KINDS, kinds)
    return error


def is_one_of(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Return whether an error, or the one that it stands for, is of one of these classes."""
    if isinstance(error, kinds):
        return True
    return any(issubclass(kind, kinds) for kind in getattr(error, _KINDS, ()))


def presentable(error: BaseException, text: str) -> Exception:
    """Return an error that stands for one that would end the worker.

    Parameters:
        error: What the task raised.
        text: How it reads.
    """
    substitute = RuntimeError(f"the task raised {text}")
    substitute.__cause__ = error
    return standing_for(substitute, (type(error),))
