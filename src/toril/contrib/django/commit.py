"""Jobs that are added once a transaction of Django's has committed."""

from __future__ import annotations

from typing import Any, Generic, ParamSpec

from toril.tasks.task import Task

P = ParamSpec("P")


class OnCommit(Generic[P]):
    """A task whose jobs are added after the commit. Made by `on_commit`."""

    def __init__(self, task: Task[P, Any], using: str | None, robust: bool) -> None:
        self._task = task
        self._using = using
        self._robust = robust

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Add a job once the transaction has committed; at once if there is none.

        After a rollback nothing is added. The parameters are the function's own. They are checked
        and taken as they are now.

        Raises:
            InvalidPayloadError: They do not fit.
        """
        from django.db import transaction

        task: Task[..., Any] = self._task
        payload = task.signature.bind(args, kwargs)

        def add() -> None:
            task.enqueue_sync(**task.arguments(payload))

        transaction.on_commit(add, using=self._using, robust=self._robust)


def on_commit(task: Task[P, Any], *, using: str | None = None, robust: bool = False) -> OnCommit[P]:
    """Return a task whose `enqueue` waits for the commit: `on_commit(send).enqueue(order_id=7)`.

    A worker that ran the job before the commit would not see its rows. For plain code, since
    Django's transactions are.

    Parameters:
        task: The task, with options or without.
        using: The name of the database. Default: Django's `default`.
        robust: Log an error of the store and go on with what else waits for the commit. Default:
            it is raised where the transaction ends, which has committed.
    """
    return OnCommit(task, using, robust)
