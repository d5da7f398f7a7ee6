"""A task's result on its way into the store.

The work is done: whatever goes wrong here fails the job once, with the reason. Another attempt
would do the work again, and its answer could be stored no better.
"""

from __future__ import annotations

import inspect
from typing import Protocol

from toril.engine.judging import describe
from toril.engine.outcomes import Fail


class Encodes(Protocol):
    """The part of a task that is asked here."""

    @property
    def name(self) -> str:
        """Its name on the wire."""
        ...

    def encode(self, result: object, *, replaced: bool = False) -> str:
        """Return a result as JSON text. `replaced`: middleware put it in the task's place."""
        ...


def encoded_result(task: Encodes, result: object, *, replaced: bool = False) -> str:
    """Return a task's result as JSON text.

    Raises:
        Fail: It cannot be stored: not JSON, too large, it holds itself, or its own code raises.
    """
    try:
        return task.encode(result, replaced=replaced)
    except (TypeError, ValueError) as error:
        problem = str(error)
        if inspect.iscoroutine(result):
            result.close()
            problem = "it is a coroutine; make the task itself an 'async def'"
        raise Fail(f"the result of {task.name!r} cannot be stored: {problem}") from error
    except Exception as error:  # of a model's own code
        raise Fail(f"the result of {task.name!r} cannot be stored: {describe(error)}") from error
