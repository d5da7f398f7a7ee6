"""Tasks that belong to no app yet: how a library of tasks is written and included.

```python
mail = TaskBundle()

@mail.task(queue="email-sending")
async def send(to: str) -> None: ...

app.include(mail)
```
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from toril.engine.options import (
    KEEP_COMPLETED,
    KEEP_FAILED,
    KeepPolicy,
    RetryPolicy,
    RunIn,
)
from toril.engine.profiles import Profile
from toril.tasks.decorator import TaskDecorator, task_decorator
from toril.tasks.signature import Rename
from toril.tasks.task import Task


class TaskBundle:
    """Some tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any, Any]] = []

    def task(
        self,
        *,
        name: str | None = None,
        queue: str = "default",
        run_in: RunIn | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = 3600.0,
        keep_completed: KeepPolicy = KEEP_COMPLETED,
        keep_failed: KeepPolicy = KEEP_FAILED,
        max_payload_bytes: int = 256 * 1024,
        max_result_bytes: int = 64 * 1024,
        profile: Profile | str | None = None,
        rename: Rename = None,
        any_name: bool = False,
    ) -> TaskDecorator:
        """Make a task of a function; options as in `App.task`."""
        return task_decorator(
            self._add,
            name=name,
            queue=queue,
            run_in=run_in,
            retry=retry,
            timeout=timeout,
            keep_completed=keep_completed,
            keep_failed=keep_failed,
            max_payload_bytes=max_payload_bytes,
            max_result_bytes=max_result_bytes,
            profile=profile,
            rename=rename,
            any_name=any_name,
        )

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.tasks.append(task)
        return task
