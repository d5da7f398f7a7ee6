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
from typing import Any

from toril.engine.schedules.options import ScheduleOptions
from toril.tasks.decorator import TaskMaker
from toril.tasks.schedules import Scheduled, template_of
from toril.tasks.task import Task


class TaskBundle(TaskMaker):
    """Some tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any, Any]] = []
        self.schedules: list[Scheduled] = []

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.tasks.append(task)
        return task

    def _declare(
        self,
        schedule_id: str,
        task: Task[Any, Any],
        payload: Mapping[str, Any] | None,
        options: ScheduleOptions,
    ) -> None:
        template = template_of(task, payload)
        self.schedules.append(Scheduled(schedule_id, task, template, options))
