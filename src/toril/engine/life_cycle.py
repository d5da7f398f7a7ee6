"""What a worker asks of the app's own start and stop. `tasks/life_cycle.py` fulfils it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class LifeCycle(Protocol):
    """What an app starts before the first job of a process, and stops after the last."""

    async def enter(self) -> None:
        """Start it, unless another worker of this process has. Each call is followed by `leave`.

        Raises:
            WorkerStartError: A function of the app's failed. No `leave` follows.
        """
        ...

    async def leave(self) -> None:
        """Stop it, if nobody else is left that has entered. Never raises."""
        ...


class ChildLifeCycle(LifeCycle, Protocol):
    """The same in a child process, which has the app's module, but not the worker's app."""

    def adopt(self, values: Mapping[type, object]) -> None:
        """Take what the worker's app provides."""
        ...

    def provided(self) -> Mapping[type, object]:
        """Return what the app provides here: what it was given, and what its start has made."""
        ...


class InChildren(msgspec.Struct, frozen=True):
    """Where child processes find the life cycle."""

    target: str
    """`module:name` of a `ChildLifeCycle`."""
    stop_timeout_s: float
