"""Jobs that are added with a transaction of Django's: rows of the same database."""

from __future__ import annotations

from typing import Generic, ParamSpec, TypeVar

from toril.engine.handle import Job
from toril.tasks.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class InTransaction(Generic[P, R]):
    """A task whose jobs are rows of a database of Django's. Made by `in_transaction`."""

    def __init__(self, task: Task[P, R], using: str | None) -> None:
        self._task = task
        self._using = using

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Add a job if the transaction commits, and only then; at once if there is none.

        The parameters are the function's own. The store knows the job once a relay has added it.

        Raises:
            InvalidPayloadError: They do not fit; nothing was written.
            OutboxError: The database has no outbox, or refuses the row.
        """
        from toril.contrib.django.outbox_database import DjangoTransaction

        return self._task.enqueue_in_sync(DjangoTransaction(self._using), *args, **kwargs)


def in_transaction(task: Task[P, R], *, using: str | None = None) -> InTransaction[P, R]:
    """Return a task whose jobs commit with your rows: `in_transaction(send).enqueue(order_id=7)`.

    A commit adds the job even if the store cannot be reached then, or the process dies: a relay
    adds it from the database. It needs `toril.contrib.django.outbox` in INSTALLED_APPS.

    Parameters:
        task: The task, with options or without.
        using: The name of the database. Default: Django's `default`. Workers relay the one that
            `TORIL["OUTBOX"]` names.
    """
    return InTransaction(task, using)
