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

from typing import Any

from toril.tasks.decorator import TaskMaker
from toril.tasks.task import Task


class TaskBundle(TaskMaker):
    """Some tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any, Any]] = []

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.tasks.append(task)
        return task
