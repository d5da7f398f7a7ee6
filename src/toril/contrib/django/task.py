"""A task of a Django project, as its workers call it."""

from __future__ import annotations

from typing import Any, ParamSpec, TypeVar

from toril.contrib.django.connections import refreshed, refreshed_async
from toril.contrib.django.in_child import child_reference
from toril.tasks.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class DjangoTask(Task[P, R]):
    """A task with fresh connections to the databases, wherever it runs."""

    @classmethod
    def of(cls, task: Task[Any, Any]) -> DjangoTask[Any, Any]:
        """Return a task as one of a Django project."""
        twin: DjangoTask[Any, Any] = cls.__new__(cls)
        twin.__dict__.update(task.__dict__)
        match task.run_in:
            case "loop":
                twin.called = refreshed_async(task.function)
            case "thread":
                twin.called = refreshed(task.function)
            case "process":  # its child sees to that
                pass
        return twin

    def target(self) -> str:
        """Return where a child process finds this task, once it has set Django up."""
        return child_reference(super().target())
