"""A task in a child process: Django is set up before the module of the task is imported.

The name that the child is told leads through `tasks` of this module to the task's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toril.contrib.django.connections import refreshed
from toril.contrib.django.starting import set_up
from toril.engine.context import Context
from toril.engine.runners.references import MAIN_NAMES, resolve


def child_reference(own: str) -> str:
    """Return the name under which a child finds a task.

    Parameters:
        own: Its own, `module:qualname`. One of the main script stays as it is.
    """
    return own if own.partition(":")[0] in MAIN_NAMES else f"{__name__}:tasks.{own}"


class TaskHere:
    """A task as its child process calls it: with fresh connections to the databases."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.store = task.store

    def run_here(self, payload: bytes, context: Context, provided: Mapping[type, object]) -> bytes:
        """Run the task and return its result as JSON."""
        result: bytes = refreshed(self._task.run_here)(payload, context, provided)
        return result


class Names:
    """Follows `shop.tasks:render`, name by name, to the task."""

    def __init__(self, path: str = "") -> None:
        self._path = path

    def __getattr__(self, name: str) -> Names | TaskHere:
        path = f"{self._path}{name}"
        if ":" not in path:
            return Names(f"{path}.")
        set_up()
        found = resolve(path)
        return TaskHere(found) if callable(getattr(found, "run_here", None)) else Names(f"{path}.")


tasks = Names()
