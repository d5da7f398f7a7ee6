"""How an app looks through its store: searches, history, and the figures that monitors are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from toril.core.ids import check_existing_queue_name
from toril.engine.dead_letters import DEAD_LETTER
from toril.engine.info import QueueInfo
from toril.engine.operator import Progress
from toril.store_access import StoreAccess

if TYPE_CHECKING:
    from toril.engine.bulk.actions import Bulk
    from toril.engine.contract import Backend
    from toril.engine.history import HistorySeries
    from toril.engine.scaling import Scaling
    from toril.engine.search.found import SearchPage, SearchPlan
    from toril.engine.search.searcher import Searcher
    from toril.observability.collecting import Collector
    from toril.observability.figures import Figures

C = TypeVar("C", bound="Collector")


class StoreLooks(StoreAccess):
    """The calls of `App` that look at many jobs or queues at once."""

    async def search(
        self,
        query: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
        budget: float | timedelta = 2.0,
        progress: Progress | None = None,
    ) -> SearchPage:
        """Return a page of the jobs that a text asks for, such as `state:failed error~timeout`.

        It looks in short calls, and returns what it has found once its time is up. A job that stays
        in its state is never missed.

        Parameters:
            query: What to look for; the grammar is on the page "Search".
            cursor: `SearchPage.next` of the page before, of the same search.
            limit: How many jobs, 1 to 1,000. There may be fewer although `next` is set.
            budget: How long to look, in seconds or as a timedelta.
            progress: Told how many jobs were looked at so far.

        Raises:
            QueryError: The text cannot be read; the message says where, and what would do.
            InvalidOptionError: The cursor is none, or another search's.
        """
        return await self._searcher.page(
            query, cursor=cursor, limit=limit, budget=budget, progress=progress
        )

    async def explain_search(self, query: str) -> SearchPlan:
        """Return what a search will cost; no job is looked at.

        Raises:
            QueryError: The text cannot be read; the message says where, and what would do.
        """
        return await self._searcher.plan(query)

    @cached_property
    def _searcher(self) -> Searcher:
        from toril.engine.search.searcher import Searcher

        return Searcher(self._store.get)

    @cached_property
    def bulk(self) -> Bulk:
        """Operations on many jobs: retry, remove, promote, cancel, move, export."""
        from toril.engine.bulk.actions import Bulk

        return Bulk(self._producer)

    async def history(
        self,
        queue: str,
        *,
        task: str | None = None,
        since: datetime | float | timedelta | None = None,
        until: datetime | None = None,
        step: float | timedelta | None = None,
    ) -> HistorySeries:
        """Return what a queue did: outcomes, waits and runs, as a series of points.

        The store keeps minutes for 7 days, hours for 90 days and days (UTC) for two years.

        Parameters:
            queue: Which.
            task: Only this task. Default: all of them.
            since: A moment, or how long ago, in seconds. Default: 6 hours before the end.
            until: A moment. Default: now.
            step: How long a point is: whole minutes, in seconds. Steps of whole hours and days
                reach further back. Default: one that gives at most some 200 points.

        Raises:
            InvalidOptionError: A moment has no time zone, the span is empty, or the step is no
                whole number of minutes or too short for so long ago.
        """
        from toril.engine.history import series

        backend = self.backend()
        return await series(
            backend.history,
            check_existing_queue_name(queue),
            now_ms=backend.clock.now_ms(),
            task=task,
            since=since,
            until=until,
            step=step,
        )

    def metrics(self, collector: C) -> C:
        """Add figures of the application to `prometheus()`: `@app.metrics`.

        The function takes `Figures` of the store and returns metrics, or yields them: `Metric`, or
        families of prometheus-client, such as `prometheus_client.REGISTRY.collect()`. It may be
        async. If it raises, the error is logged and the other figures are told all the same.
        """
        self._collectors.append(collector)
        return collector

    async def figures(self, queues: Sequence[str] | None = None) -> Figures:
        """Return what there is to say of the store at this moment: what metrics are made of.

        Parameters:
            queues: Only these. Default: all.
        """
        from toril.observability.figures import read_figures

        found, workers = await asyncio.gather(self._some_queues(queues), self.workers())
        return await read_figures(
            self._readable(), found, workers, dead_letters=self._letter_queues()
        )

    def _readable(self) -> Backend:
        """Return the store that can be read at this moment."""
        return self.backend()

    def _letter_queues(self) -> set[str]:
        named = {task.dead_letter for task in self._registry if task.dead_letter is not None}
        return {DEAD_LETTER, *named}

    async def prometheus(self, queues: Sequence[str] | None = None) -> str:
        """Return figures as text for Prometheus, such as for a web page of it.

        It ends as the format wants. Its content type is `text/plain; version=0.0.4`.

        Parameters:
            queues: Only these. Default: all queues.

        Raises:
            MissingExtraError: prometheus-client is not installed.
            InvalidOptionError: Two metrics have the same name, or one has a name that Prometheus
                refuses.
        """
        from toril.observability.collecting import collected
        from toril.observability.prometheus import exposition, metrics

        figures = await self.figures(queues)
        found = [*metrics(figures), *await collected(self._collectors, figures)]
        return await asyncio.to_thread(exposition, found)

    async def scaling(
        self, queues: Sequence[str] | None = None, *, concurrency: int = 10
    ) -> Scaling:
        """Return how much there is to do, for an autoscaler.

        Parameters:
            queues: Those that the workers serve which are to be scaled. Default: all.
            concurrency: Jobs that one worker runs at once, if none is alive to tell.

        Raises:
            InvalidOptionError: The concurrency is below 1, or a queue cannot have such a name.
        """
        from toril.engine.scaling import scaling

        found, workers = await asyncio.gather(self._some_queues(queues), self.workers())
        if queues is None:
            queues = [*(info.name for info in found), *(q for one in workers for q in one.queues)]
        return scaling(found, workers, names=queues, concurrency=concurrency)

    async def _some_queues(self, names: Sequence[str] | None) -> list[QueueInfo]:
        """Return the queues of some names that are there; of None: all that are listed."""
        if names is None:
            return await self.queues()
        found = [await self.queue(name, existing=True).info() for name in dict.fromkeys(names)]
        return [info for info in found if info is not None]
