"""A task that stands in for those that an app does not have, where code claims jobs by hand."""

from __future__ import annotations

from typing import Any

from toril.engine.options import RetryPolicy
from toril.tasks.options import TaskOptions
from toril.tasks.parameters import WholePayload
from toril.tasks.task import Task


def task_of_any_name(queue: str, retry: RetryPolicy) -> Task[Any, Any]:
    """Return a task with the defaults of every task, but for its retries. It is never called."""
    options = TaskOptions(
        name="(claimed by hand)", queue=queue, run_in="loop", retry=retry, timeout_s=None
    )
    return Task(_any_payload, options)


async def _any_payload(payload: WholePayload[Any]) -> Any:
    """Take any payload, and return any result."""
    return payload
