"""Searches, operations on many jobs, and the audit log, behind a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from toril.cli.remote_records import job_of_line
from toril.client import AsyncClient
from toril.engine.audit import AuditPage
from toril.engine.bulk.exporting import write_lines
from toril.engine.bulk.info import OperationInfo, OperationPreview, OperationUndone
from toril.engine.bulk.wish import Action
from toril.engine.search.found import SearchPage, SearchPlan

LOOK_S = 0.5
"""Between two looks at an operation that the server drives."""
WRITTEN_AT_ONCE = 200
"""Jobs of an export."""
MOST_BUDGET_S = 8.0
"""How long one request searches at most."""


class RemoteSearch:
    """Searches behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def page(
        self,
        query: str,
        *,
        cursor: str | None,
        limit: int,
        budget: float,
        progress: Callable[[int], None] | None,
    ) -> SearchPage:
        """Return some jobs that a search finds."""
        found = await self._client.search_jobs(
            q=query, limit=limit, after=cursor, budget_s=min(budget, MOST_BUDGET_S)
        )
        if progress is not None:
            progress(found.looked_at)
        return SearchPage(
            jobs=[job_of_line(line) for line in found.items],
            next=found.next,
            looked_at=found.looked_at,
            passed_over=found.passed_over,
            queue=found.queue,
            state=found.state,
            repeats=found.repeats,
        )

    async def plan(self, query: str) -> SearchPlan:
        """Say what a search will cost."""
        return await self._client.plan_search(q=query)


class RemoteBulk:
    """Operations on many jobs behind a server, which drives them."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def preview(self, action: Action, query: str) -> OperationPreview:
        """Return how many jobs an operation would change, and ten of them."""
        found = await self._client.preview_operation(action, query=query)
        return OperationPreview(
            action=action,
            query=found.query,
            count=found.count,
            exact=found.exact,
            at_most=found.at_most,
            samples=[job_of_line(line) for line in found.samples],
        )

    async def retry(
        self, query: str, *, reset_attempts: bool, max_per_s: float | None
    ) -> RemoteOperation:
        """Begin to put jobs back in line."""
        return await self._begin("retry", query, max_per_s=max_per_s, reset_attempts=reset_attempts)

    async def remove(self, query: str, *, keep: float, max_per_s: float | None) -> RemoteOperation:
        """Begin to remove jobs."""
        return await self._begin("remove", query, max_per_s=max_per_s, keep_s=keep)

    async def promote(self, query: str, *, max_per_s: float | None) -> RemoteOperation:
        """Begin to make delayed jobs ready."""
        return await self._begin("promote", query, max_per_s=max_per_s)

    async def cancel(self, query: str, *, reason: str, max_per_s: float | None) -> RemoteOperation:
        """Begin to stop jobs for good."""
        return await self._begin("cancel", query, max_per_s=max_per_s, reason=reason)

    async def move(self, query: str, *, to: str, max_per_s: float | None) -> RemoteOperation:
        """Begin to move jobs to another queue."""
        return await self._begin("move", query, max_per_s=max_per_s, to=to)

    async def export(
        self,
        query: str,
        path: str,
        *,
        max_per_s: float | None,
        progress: Callable[[int], None],
    ) -> int:
        """Write the jobs that a search finds to a file here."""
        return await write_lines(
            self._lines(query), Path(path), max_per_s=max_per_s, progress=progress
        )

    async def _lines(self, query: str) -> AsyncIterator[list[bytes]]:
        lines: list[bytes] = []
        async for line in self._client.export_jobs(q=query):
            lines.append(line)
            if len(lines) == WRITTEN_AT_ONCE:
                yield lines
                lines = []
        yield lines

    def operation(self, operation_id: str) -> RemoteOperation:
        """Return an operation, whether it exists or not."""
        return RemoteOperation(self._client, operation_id)

    async def list(self, *, limit: int) -> list[OperationInfo]:
        """Return the newest operations, newest first."""
        return (await self._client.list_operations(limit=limit)).items

    async def _begin(self, action: Action, query: str, **how: Any) -> RemoteOperation:
        begun = await self._client.begin_operation(action, query=query, **how)
        return RemoteOperation(self._client, begun.id)


class RemoteOperation:
    """One operation behind a server."""

    def __init__(self, client: AsyncClient, operation_id: str) -> None:
        self._client = client
        self.id = operation_id

    async def info(self) -> OperationInfo:
        """Return how far it is."""
        return await self._client.get_operation(self.id)

    async def run(self, *, progress: Callable[[OperationInfo], None]) -> OperationInfo:
        """Wait until the server, or a worker, has driven it to its end."""
        while True:
            info = await self.info()
            if info.state != "running":
                return info
            progress(info)
            await asyncio.sleep(LOOK_S)

    async def cancel(self) -> bool:
        """Have it end where it stands; return whether it was still running."""
        before = await self.info()
        await self._client.cancel_operation(self.id)
        return before.state == "running"

    async def undo(self, *, progress: Callable[[int], None]) -> OperationUndone:
        """Put the jobs back that it has removed."""
        found = await self._client.undo_operation(self.id)
        progress(found.restored)
        return OperationUndone(restored=found.restored, taken=found.taken)


class RemoteAudit:
    """The audit log behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def page(self, **wanted: Any) -> AuditPage:
        """Return some entries, newest first."""
        found = await self._client.list_audit(**wanted)
        return AuditPage(found.items, found.next)
