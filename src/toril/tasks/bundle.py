"""Tasks that belong to no app yet: how a library of tasks is written and included.

```python
mail = TaskBundle()

@mail.task(queue="email-sending")
async def send(to: str) -> None: ...

app.include(mail)
await app.bound(send).enqueue(to="jo@example.com")
```
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NoReturn

from toril.core.errors import InvalidOptionError
from toril.engine.schedules.options import ScheduleOptions
from toril.tasks.bindings import Binding
from toril.tasks.decorator import TaskMaker
from toril.tasks.schedules import Scheduled, template_of
from toril.tasks.task import Task


class TaskBundle(TaskMaker):
    """Some tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any, Any]] = []
        self.schedules: list[Scheduled] = []
        self.bindings: list[Binding] = []

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.tasks.append(task)
        return task

    def _bind(self, binding: Binding) -> None:
        self.bindings.append(binding)

    def _declare(
        self,
        schedule_id: str,
        task: Task[Any, Any],
        payload: Mapping[str, Any] | None,
        options: ScheduleOptions,
    ) -> None:
        template = template_of(task, payload)
        self.schedules.append(Scheduled(schedule_id, task, template, options))


def refuse_inclusion(given: object) -> NoReturn:
    """Refuse what `app.include` cannot take; say what to do with it.

    Raises:
        InvalidOptionError: Always.
    """
    if isinstance(given, str | ModuleType):
        name = given if isinstance(given, str) else given.__name__
        hint = f"import {name}: tasks register themselves with the app that they are made with"
    elif isinstance(given, TaskMaker):
        hint = "tasks of another app are its own: make them in a TaskBundle, which both include"
    elif callable(given):
        hint = "make a task of it: app.task(...)"
    else:
        hint = "expected a TaskBundle, or a task"
    raise InvalidOptionError(f"include({given!r}): {hint}")
