"""An app that is behind a server: what `--server URL` gives to commands in place of an `App`.

It has the methods of `App` that commands use, with the same words, and asks the REST interface.
What the interface leaves out of lists is left out here, too: payloads show as their beginnings.

Read next: `remote_queue.py`, `remote_records.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec

from toril.cli.codes import ERROR, STATE, STORE, USAGE, RefusedError
from toril.cli.remote_access import RemoteKeys, RemoteSessions, RemoteUsers
from toril.cli.remote_alerts import RemoteAlerts
from toril.cli.remote_control import RemoteAudit, RemoteBulk, RemoteSearch
from toril.cli.remote_letters import RemoteLetters
from toril.cli.remote_queue import RemoteJob, RemoteQueue, event_record
from toril.cli.remote_records import flow_tree, history_series, worker_of
from toril.client import ApiError, AsyncClient
from toril.client.failures import FOREIGN
from toril.engine.contract.lifecycle import Finding
from toril.engine.dead_letters import DEAD_LETTER
from toril.engine.events import EventRecord
from toril.engine.flow_stuck import StuckFlow
from toril.engine.flow_tree import FlowNode
from toril.engine.history import HistorySeries
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.options import JobOptions
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.search.found import SearchPage, SearchPlan
from toril.engine.wishes import Wish, wish_text
from toril.fallback.info import StoreState
from toril.rest.answers import Page

KEY = "TORIL_KEY"
"""The variable with the key that a server asks for."""
MOST = 1000
"""Items of one request."""


@asynccontextmanager
async def remote_app(url: str) -> AsyncIterator[RemoteApp]:
    """Connect to a server for one command.

    Raises:
        RefusedError: What the server refuses, in its own sentence.
    """
    try:
        async with AsyncClient(url, os.environ.get(KEY) or None) as client:
            yield RemoteApp(client, url)
    except ApiError as error:
        raise refusal(error, url) from None
    except BaseExceptionGroup as group:  # of tasks beside each other
        refused, others = group.split(ApiError)
        if refused is None or others is not None:
            raise
        raise refusal(_first(refused), url) from None


def _first(group: BaseExceptionGroup[ApiError]) -> ApiError:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


def refusal(error: ApiError, url: str | None = None) -> RefusedError:
    """Return what a command says of a refusal, with its exit code.

    Parameters:
        error: The refusal.
        url: What was asked, for answers of what is no server of Toril.
    """
    text = str(error)
    if error.code == FOREIGN:
        text = text if url is None else f"{url}: {text}"
        return RefusedError(text, STORE if error.status >= 500 else USAGE)
    if error.status == 401:
        text += f". Set {KEY} to a key of the server"
    codes = {0: STORE, 503: STORE, 404: STATE, 409: STATE, 422: USAGE, 400: USAGE, 413: USAGE}
    return RefusedError(text, codes.get(error.status, ERROR))


class RemoteApp:
    """An app behind a server."""

    def __init__(self, client: AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self.alerts = RemoteAlerts(client)
        self.bulk = RemoteBulk(client)
        self.audit = RemoteAudit(client)
        self.keys = RemoteKeys(client)
        self.users = RemoteUsers(client)
        self.sessions = RemoteSessions(client)
        self.schedules = RemoteSchedules(client)
        self.flows = RemoteFlows(client)

    def backend(self) -> RemoteStore:
        """Return what commands ask of a store itself."""
        return RemoteStore(self._client, self._url)

    def queue(self, name: str, *, existing: bool = False) -> RemoteQueue:
        """Return a queue by name."""
        return RemoteQueue(self._client, name)

    def dead_letters(self, queue: str = DEAD_LETTER) -> RemoteLetters:
        """Return a dead-letter queue."""
        return RemoteLetters(self._client, queue)

    async def queues(self, *, search: bool = False) -> list[QueueInfo]:
        """Return all queues that the caller may see."""
        if search:
            await self._client.search_queues()
        found: list[QueueInfo] = []
        after: str | None = None
        while True:
            page = await self._client.list_queues(after=after)
            found += page.items
            after = page.next
            if after is None:
                return found

    async def store_state(self) -> StoreState:
        """Return which store is live."""
        health = await self._client.get_health()
        return StoreState(
            live=health.store or "",
            store=self._url,
            since=health.since,
            to_move=health.to_move or 0,
        )

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are alive."""
        page = await self._client.list_workers(limit=MOST)
        return [worker_of(one) for one in page.items]

    async def tell_worker(self, worker_id: str, wish: Wish, *, concurrency: int | None) -> bool:
        """Tell a worker what to do; return whether there is such a one."""
        wish_text(wish, concurrency)  # refuses what makes no sense in the command's own words
        try:
            await self._client.tell_worker(worker_id, wish, concurrency=concurrency)
        except ApiError as error:
            if error.code == "worker_not_found":
                return False
            raise
        return True

    async def history(
        self, queue: str, *, task: str | None, since: float, step: float
    ) -> HistorySeries:
        """Return what a queue did."""
        try:
            facts = await self._client.get_history(
                queue, task=task, since_s=since, step_s=step, buckets=True
            )
        except ApiError as error:
            if error.status != 422:
                raise
            # By the names of the command's options, which leave the unit to the value.
            raise RefusedError(str(error).replace("_s=", "=", 1), USAGE) from None
        return history_series(facts)

    async def prometheus(self, queues: Sequence[str] | None) -> str:
        """Return figures as text for Prometheus, those of the server's application included."""
        return await self._client.get_metrics(queue=list(queues or ()))

    async def search(
        self,
        query: str,
        *,
        cursor: str | None,
        limit: int,
        budget: float,
        progress: Callable[[int], None] | None,
    ) -> SearchPage:
        """Return some jobs that a search finds."""
        found = RemoteSearch(self._client)
        return await found.page(query, cursor=cursor, limit=limit, budget=budget, progress=progress)

    async def explain_search(self, query: str) -> SearchPlan:
        """Say what a search will cost."""
        return await RemoteSearch(self._client).plan(query)

    async def check(self) -> ServerHealth:
        """Look the server's installation and its store over."""
        system = await self._client.get_system()
        found = await self._client.check_store()
        extras = ", ".join(system.extras) or "none"
        return ServerHealth(
            [
                Finding("toril", "ok", f"{system.version} on {system.python}, {system.system}"),
                Finding("extras", "ok", f"installed: {extras}"),
                *(Finding(one.subject, cast("Any", one.grade), one.text) for one in found.findings),
            ],
            [PlannedRepair(text) for text in found.repairs],
            found.ok,
        )


class PlannedRepair(msgspec.Struct, frozen=True):
    """A repair that would be made where the store is."""

    text: str


class ServerHealth(NamedTuple):
    """What a look over a server's installation and store has found."""

    findings: list[Finding]
    repairs: list[PlannedRepair]
    ok: bool


class RemoteStore:
    """What commands ask of a store itself."""

    capabilities = frozenset({"shared_processes", "foreign_queues"})

    def __init__(self, client: AsyncClient, url: str) -> None:
        self.url = url
        self.events = RemoteEvents(client)


class RemoteEvents:
    """The newest events of queues."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def latest(self, queue: str) -> int:
        """Return the position of the newest event. 0: there is none."""
        page = await self._client.list_events(queue, limit=1)
        return page.items[-1].position if page.items else 0

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        """Return the newest events, oldest first."""
        page = await self._client.list_events(queue, limit=min(limit, MOST))
        return [event_record(event) for event in page.items]


class RemoteSchedules:
    """Schedules behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, queue: str | None = None) -> list[ScheduleInfo]:
        """Return all schedules, or those of one queue."""
        found: list[ScheduleInfo] = []
        after: str | None = None
        while True:
            page = await self._client.list_schedules(queue=queue, after=after)
            found += page.items
            after = page.next
            if after is None:
                return found

    async def get(self, id: str, *, queue: str | None = None) -> ScheduleInfo | None:
        """Return a schedule; None if there is none."""
        if queue is None:
            found = [one for one in await self.list() if one.id == id]
            if len(found) > 1:
                theirs = ", ".join(repr(one.queue) for one in found)
                raise RefusedError(f"each of {theirs} has a schedule {id!r}: give --queue", USAGE)
            return found[0] if found else None
        try:
            return await self._client.get_schedule(queue, id)
        except ApiError as error:
            if error.code == "schedule_not_found":
                return None
            raise

    async def put(
        self,
        id: str,
        target: RemoteQueue,
        payload: Mapping[str, Any] | None = None,
        *,
        name: str,
        options: JobOptions,
        cron: str | None,
        every: float | None,
        timezone: str | None,
        start: datetime | None,
        end: datetime | None,
        limit: int | None,
        offset: float | None,
        immediately: bool,
        jitter: float,
        missed: Any,
    ) -> ScheduleInfo:
        """Make a schedule, or change the one of this id."""
        return await self._client.put_schedule(
            target.name,
            id,
            name,
            payload,
            cron=cron,
            every_s=every,
            timezone=timezone,
            start=start,
            end=end,
            limit=limit,
            offset_s=offset,
            immediately=immediately,
            jitter_s=jitter,
            missed=missed,
            priority=options.priority,
            max_attempts=options.max_attempts,
        )

    async def run(self, id: str, *, queue: str | None = None) -> RemoteJob:
        """Add a job as the schedule makes them, now."""
        added = await self._client.run_schedule(await self._queue_of(id, queue), id)
        return RemoteJob(self._client, added.queue, added.id, duplicate=added.duplicate)

    async def pause(self, id: str, *, queue: str | None = None) -> None:
        """Let a schedule make no jobs until it is resumed."""
        await self._client.pause_schedule(await self._queue_of(id, queue), id)

    async def resume(self, id: str, *, queue: str | None = None) -> None:
        """Let a schedule go on."""
        await self._client.resume_schedule(await self._queue_of(id, queue), id)

    async def remove(self, id: str, *, queue: str | None = None) -> bool:
        """Remove a schedule."""
        await self._client.remove_schedule(await self._queue_of(id, queue), id)
        return True

    async def _queue_of(self, schedule_id: str, queue: str | None) -> str:
        if queue is not None:
            return queue
        found = await self.get(schedule_id)
        if found is None:
            raise RefusedError(f"no schedule {schedule_id!r}; see toril schedules list", STATE)
        return found.queue


class RemoteFlows:
    """Flows behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def get(self, queue: str, job_id: str) -> RemoteFlow:
        """Return a flow by its root."""
        return RemoteFlow(self._client, queue, job_id)

    async def waiting(self, queue: str | None = None, *, limit: int = 50) -> list[FlowRoot]:
        """Return the roots that wait for their children."""
        page = await self._client.list_flows(queue=queue, limit=limit)
        return [FlowRoot(one.queue, one.id, one.name, one.created_at) for one in page.items]

    async def stuck(self, queue: str | None = None) -> list[StuckFlow]:
        """Return the parents that can never go on by themselves."""
        page: Page[StuckFlow] = await self._client.list_stuck_flows(queue=queue, limit=MOST)
        return page.items


class FlowRoot(NamedTuple):
    """The root of a flow, as far as a list shows it."""

    queue: str
    id: str
    name: str
    created_at: datetime


class RemoteFlow:
    """A flow behind a server."""

    def __init__(self, client: AsyncClient, queue: str, job_id: str) -> None:
        self._client = client
        self._queue = queue
        self._job_id = job_id

    async def tree(self, *, max_nodes: int) -> FlowNode:
        """Return the root with everything below it."""
        limit = min(max_nodes, 5000)
        return flow_tree(await self._client.get_flow(self._queue, self._job_id, limit=limit))
