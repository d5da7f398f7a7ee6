"""The context in which attempts begin: what the worker, or the child process, started with.

Each attempt has a copy, so that what one job sets (a tenant, a trace, the precision of decimal
numbers), no other job sees.
"""

from __future__ import annotations

import contextvars
import decimal


class Surroundings:
    """The context of the moment at which this is made."""

    __slots__ = ("_decimal", "context")

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        """For the worker's own callbacks."""
        # A copy has the same objects. One of them is made to be changed: the decimal context.
        self._decimal = next(
            (value for value in self.context.values() if isinstance(value, decimal.Context)), None
        )

    def fresh(self) -> contextvars.Context:
        """Return a copy for one attempt."""
        fresh = self.context.copy()
        if self._decimal is not None:
            fresh.run(decimal.setcontext, self._decimal.copy())
        return fresh
