"""Encodes a task's result for the store.

The work is done by then, so an error here fails the job at once, with the reason. A retry would
repeat the work, and its result could not be stored either.
"""

from __future__ import annotations

import inspect

from toril.engine.handler import Handler
from toril.engine.judging import describe
from toril.engine.outcomes import Fail


class Encoded(str):
    """A result that is JSON text already: what a child process handed back."""

    __slots__ = ()


def encoded_result(task: Handler, result: object, *, replaced: bool = False) -> str:
    """Return a task's result as JSON text.

    Raises:
        Fail: The result is not JSON, too large or circular, or its own code raised.
    """
    try:
        return task.encode(result, replaced=replaced)
    except Exception as error:
        raise refused_result(task, result, error) from error


def refused_result(task: Handler, result: object, error: Exception) -> Fail:
    """Return the failure of a job whose result `task.encode` has refused with an error."""
    if isinstance(error, TypeError | ValueError):
        problem = str(error)
        if inspect.iscoroutine(result):
            result.close()
            problem = "it is a coroutine; make the task itself an 'async def'"
    else:  # of a model's own code
        problem = describe(error)
    return Fail(f"the result of {task.name!r} cannot be stored: {problem}")
