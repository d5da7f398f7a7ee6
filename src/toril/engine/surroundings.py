"""The context variables with which each attempt begins: those of its worker, or child process.

Each attempt has a fresh copy. So a value that one job sets (a tenant, a trace, the precision of
decimal numbers) does not leak into another job.
"""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable


class Surroundings:
    """A snapshot of the context variables, taken when this is made."""

    __slots__ = ("_decimal", "context", "fresh")

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        """For the worker's own callbacks."""
        # A copy has the same objects. One of them is made to be changed: the decimal context.
        self._decimal = next(
            (value for value in self.context.values() if isinstance(value, decimal.Context)), None
        )
        self.fresh: Callable[[], contextvars.Context] = (
            self.context.copy if self._decimal is None else self._with_decimal
        )
        """Returns a copy for one attempt."""

    def _with_decimal(self) -> contextvars.Context:
        fresh = self.context.copy()
        if self._decimal is not None:
            fresh.run(decimal.setcontext, self._decimal.copy())
        return fresh
