"""Adds sync jobs: for some media, for all of one kind, or for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from toril.core.checks import require
from toril.engine.handle import Job
from toril.library.sync.payloads import Operation, SyncResult, Target
from toril.library.sync.tasks import sync_object, wire_priority
from toril.services.media.records import MediaRecords, MediaStatus
from toril.tasks.task import Task

T = TypeVar("T", bound=Task[..., Any])

MEDIA_A_STEP = 500
"""How many jobs are added at once."""


class Adding(Protocol):
    """What is needed of an app."""

    def bound(self, task: T) -> T:
        """Return the app's own task of one that a bundle declares."""
        ...


class MediaSyncService:
    """Adds jobs of `sync.object`.

    Parameters:
        app: Has the task, by `app.include(sync)`.
        records: Which media there are.
        task: What the jobs are of, such as a binding. Default: the app's own task.
    """

    def __init__(
        self, app: Adding, records: MediaRecords, *, task: Task[..., Any] | None = None
    ) -> None:
        self._task: Task[..., Any] = app.bound(sync_object) if task is None else task
        self._records = records

    async def sync_ids(
        self,
        media_ids: Iterable[str],
        operation: Operation,
        *,
        delete_source: bool = False,
        priority: int | None = None,
        target: Target | None = None,
    ) -> Sequence[Job[SyncResult]]:
        """Add a job for each media, in bulk.

        Parameters:
            media_ids: Which. A media that is named twice gets one job.
            operation: See `MediaSyncJobData`.
            delete_source: As well.
            priority: 1 to 10, higher sooner. Default: 5.
            target: See `MediaSyncJobData`.

        Raises:
            InvalidOptionError: There is no such priority.
            InvalidPayloadError: There is no such operation or target.
        """
        good = priority is None or (isinstance(priority, int) and 1 <= priority <= 10)
        require(good, "priority", priority, "1 to 10, higher sooner")
        task = self._task.with_options(priority=wire_priority(priority))
        more: dict[str, Any] = {"operation": operation, "delete_source": delete_source}
        more |= {"priority": priority} if priority is not None else {}
        more |= {"target": target} if target is not None else {}
        each = list(dict.fromkeys(media_ids))
        jobs: list[Job[SyncResult]] = []
        for start in range(0, len(each), MEDIA_A_STEP):
            some = each[start : start + MEDIA_A_STEP]
            jobs += await task.enqueue_many([{"media_id": one, **more} for one in some])
        return jobs

    async def sync_by_entity(
        self,
        entity_type: str,
        operation: Operation,
        *,
        delete_source: bool = False,
        priority: int | None = None,
        target: Target | None = None,
    ) -> Sequence[Job[SyncResult]]:
        """Add a job for each media of one entity type; see `sync_ids`."""
        ids = [media_id async for media_id in self._ids(entity_type)]
        return await self.sync_ids(
            ids, operation, delete_source=delete_source, priority=priority, target=target
        )

    async def sync_all(
        self,
        operation: Operation,
        *,
        delete_source: bool = False,
        priority: int | None = None,
        target: Target | None = None,
    ) -> Sequence[Job[SyncResult]]:
        """Add a job for each media that is not deleted; see `sync_ids`."""
        ids = [media_id async for media_id in self._ids(None)]
        return await self.sync_ids(
            ids, operation, delete_source=delete_source, priority=priority, target=target
        )

    async def _ids(self, entity_type: str | None) -> AsyncIterator[str]:
        after: str | None = None
        while True:
            page = await asyncio.to_thread(
                self._records.list,
                entity_type=entity_type,
                status=MediaStatus.READY,
                after=after,
                limit=MEDIA_A_STEP,
            )
            for record in page:
                yield record.media_id
            if len(page) < MEDIA_A_STEP:
                return
            after = page[-1].media_id
