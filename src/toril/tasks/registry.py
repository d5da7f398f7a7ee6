"""Finds the task that runs the jobs of a queue and a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from toril.core.checks import nearest
from toril.core.errors import InvalidOptionError
from toril.engine.contract.workers import ANY_NAME
from toril.engine.handler import Bound
from toril.engine.life_cycle import InChildren
from toril.engine.options import RateLimit
from toril.engine.profiles import Profile
from toril.tasks.bindings import BoundTask
from toril.tasks.inject import Provisions
from toril.tasks.life_cycle import AppLifeCycle
from toril.tasks.task import Task


class Registry:
    """The tasks of one app. Fulfils `engine.handler.Handlers`."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], Task[Any, Any]] = {}
        self._any_name: dict[str, Task[Any, Any]] = {}
        self.provisions = Provisions()
        self.life_cycle: AppLifeCycle | None = None
        """What the app starts and stops. None: a register of no app."""
        self.closes = True
        """Whether a queue whose jobs are bound by name takes no others."""
        self._binding: set[str] = set()
        """Queues that tasks are bound to."""

    def __iter__(self) -> Iterator[Task[Any, Any]]:
        return iter(self._tasks.values())

    def add(self, task: Task[Any, Any]) -> None:
        """Register a task.

        Raises:
            InvalidOptionError: Its queue has another of that name.
        """
        key = (task.queue, task.name)
        if task.options.any_name and task.queue in self._any_name:
            raise InvalidOptionError(
                f"any_name=True: queue {task.queue!r} has such a task already,"
                f" {self._any_name[task.queue].name!r}"
            )
        if key in self._tasks:
            other = self._tasks[key].function
            raise InvalidOptionError(
                f"name={task.name!r}: queue {task.queue!r} has a task of this name already,"
                f" {other.__module__}.{other.__qualname__}; give one of them another name"
            )
        if isinstance(task, BoundTask):
            self._check_figures(task)
        self._tasks[key] = task
        if task.binding is not None:
            self._binding.add(task.queue)
        if task.options.any_name:
            self._any_name[task.queue] = task

    def _check_figures(self, task: BoundTask) -> None:
        """Refuse a binding that says otherwise of its queue than one before it."""
        for other in self._bound([task.queue]):
            for option in ("rate", "concurrency"):
                before, now = getattr(other, option), getattr(task, option)
                if now is not None and before is not None and now != before:
                    raise InvalidOptionError(
                        f"{option}={now!r}: a binding of queue {task.queue!r} says {before!r}"
                        " already, and it is for the whole queue; say it once"
                    )

    def find(self, queue: str, name: str) -> Task[Any, Any] | None:
        """Return the task for a job, or None."""
        return self._tasks.get((queue, name)) or self._any_name.get(queue)

    def named(self, name: str, queue: str | None = None) -> Task[Any, Any] | None:
        """Return the task of this name, or None."""
        if queue is not None:
            return self.find(queue, name)
        return next((task for task in self if task.name == name), None)

    def names(self, queue: str) -> list[str]:
        """Return the names of a queue's tasks, with `ANY_NAME` if one of them takes any job."""
        names = [name for where, name in self._tasks if where == queue and name != ANY_NAME]
        return [*names, ANY_NAME] if queue in self._any_name else names

    def is_closed(self, queue: str) -> bool:
        """Whether jobs of other names fail at once: all of a queue's are bound by name."""
        return self.closes and queue in self._binding and queue not in self._any_name

    def door(self, queue: str, name: str) -> Bound | None:
        """Return what checks new jobs of this name, or None: nothing is bound to it.

        Raises:
            InvalidOptionError: The queue is closed, and has no such name.
        """
        if queue not in self._binding:
            return None
        task = self.find(queue, name)
        if task is not None:
            return task.binding
        if not self.is_closed(queue):
            return None
        known = self.names(queue)
        close = nearest(name, known) if isinstance(name, str) else None
        hint = f"did you mean {close!r}?" if close else f"it takes {', '.join(known)}"
        raise InvalidOptionError(f"Unknown job type: {name}, for queue {queue!r}: {hint}")

    def rates(self, queues: Iterable[str]) -> dict[str, RateLimit]:
        """Return the limits that bindings set for some of these queues."""
        bound = self._bound(queues)
        return {task.queue: task.rate for task in bound if task.rate is not None}

    def at_once(self, queues: Iterable[str]) -> dict[str, int]:
        """Return how many jobs of some of these queues a worker may run at once, by bindings."""
        bound = self._bound(queues)
        return {task.queue: task.concurrency for task in bound if task.concurrency is not None}

    def _bound(self, queues: Iterable[str]) -> list[BoundTask]:
        wanted = self._binding.intersection(queues)
        return [task for task in self if isinstance(task, BoundTask) and task.queue in wanted]

    def queues(self, profile: Profile | None = None) -> list[str]:
        """Return the queues that have tasks, in the order in which they were named.

        Parameters:
            profile: Only those with a task of this profile. None: all.
        """
        wanted = (task for task in self if profile is None or task.options.profile == profile)
        return list(dict.fromkeys(task.queue for task in wanted))

    def provide(self, kind: type) -> object:
        """Return what the app provides for a type."""
        return self.provisions.get(kind)

    def provided_for_children(self) -> bytes:
        """Return everything provided, pickled for child processes."""
        return self.provisions.pickled()

    def life_cycle_for_children(self) -> InChildren | None:
        """Return where child processes find what the app starts; None if that is nothing.

        Raises:
            InvalidOptionError: They cannot find it.
        """
        if self.life_cycle is None:
            return None
        return self.life_cycle.in_children([task.__module__ for task in self])
