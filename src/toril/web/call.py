"""One request, as a route sees it: who asks, and the app that answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from toril.core.checks import nearest
from toril.core.errors import BackendError
from toril.engine.info import JobInfo, QueueInfo, WorkerInfo
from toril.engine.queue import Queue
from toril.engine.search.found import SearchPage
from toril.web.access.port import Permission, Principal
from toril.web.access.sight import Sight
from toril.web.problems import Problem

if TYPE_CHECKING:
    from toril.web.server import Interface


class Call:
    """A request on its way through a route."""

    __slots__ = (
        "access", "app", "connection", "headers", "interface", "live", "options", "principal",
        "sight", "submissions",
    )  # fmt: skip

    def __init__(
        self,
        interface: Interface,
        connection: HTTPConnection,
        principal: Principal,
    ) -> None:
        self.interface = interface
        self.connection = connection
        self.principal = principal
        self.app = interface.app
        self.access = interface.access
        self.options = interface.options
        self.live = interface.live
        self.submissions = interface.submissions
        self.headers: Mapping[str, str] = connection.headers
        self.sight = Sight(principal, interface.app.masker)

    @property
    def payloads(self) -> bool:
        """Whether the caller may see what jobs carry."""
        return self.sight.carried

    def need(self, permission: Permission, queue: str) -> None:
        """Refuse unless the caller may do something to a queue.

        Raises:
            Problem: It may not.
        """
        if not self.principal.may(permission, queue):
            raise forbidden(self.principal, permission, queue)

    def need_payloads(self) -> None:
        """Refuse unless the caller may see what jobs carry.

        Raises:
            Problem: It may not.
        """
        if not self.sight.carried:
            raise forbidden(self.principal, Permission.PAYLOADS, None)

    def sees(self, queue: str) -> bool:
        """Whether the caller may see a queue."""
        return self.principal.may(Permission.READ, queue)

    def queue(self, name: str) -> Queue:
        """Return a queue by name, whether it exists or not."""
        return self.app.queue(name, existing=True)

    async def existing(self, name: str) -> tuple[Queue, QueueInfo]:
        """Return a queue that the store knows.

        Raises:
            Problem: It knows none of that name.
        """
        queue = self.queue(name)
        info = await queue.info()
        if info is None:
            known = [each.name for each in await self.app.queues() if self.sees(each.name)]
            close = nearest(name, known)
            hint = f"did you mean {close!r}?" if close else "GET /queues lists those that are there"
            raise Problem(404, "queue_not_found", f"no queue {name!r}: {hint}")
        return queue, info

    async def job(self, queue: str, job_id: str) -> JobInfo:
        """Return a job as the caller sees it.

        Raises:
            JobNotFoundError: It is gone.
        """
        shown = self.sight.job(await self.queue(queue).job(job_id).info())
        assert shown is not None  # noqa: S101 - the caller may see the queue
        return shown

    async def queues(self) -> list[QueueInfo]:
        """Return the queues that the caller may see."""
        return [info for info in await self.app.queues() if self.sees(info.name)]

    async def workers(self) -> list[WorkerInfo]:
        """Return all workers that are alive, also those that the caller may not see."""
        return await self.app.workers()

    async def search(
        self, query: str, *, after: str | None, limit: int, budget_s: float
    ) -> SearchPage:
        """Return jobs that a search finds, also those that the caller may not see as they are."""
        return await self.app.search(query, cursor=after, limit=limit, budget=budget_s)

    async def served(self) -> Collection[str] | None:
        """Return the queues that a worker of whatever library serves. None: nobody can say."""
        try:
            return await self.app.backend().flows.served()
        except BackendError:  # the user of the server may not list who is connected
            return None


def forbidden(principal: Principal, permission: Permission, queue: str | None) -> Problem:
    """Return the answer to a caller that may not."""
    where = "" if queue is None else f" on queue {queue!r}"
    return Problem(
        403,
        "forbidden",
        f"{principal.name} is a {principal.role} and may not do this{where}: it needs the"
        f" permission {str(permission)!r}",
    )
