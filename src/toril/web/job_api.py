"""A small API of one queue for an application's own clients: jobs by type, each tenant its own.

```python
routes = OwnRoutes(AccessControl(app, host_users=keys), queue="jobs")
serve_jobs(routes, manager, JobApiOptions(pace=CallerPace(60)), path="/queue")
web = Starlette(routes=routes.made("/api"))
```

Submitters add jobs and see those of their tenant, by the payload's `tenantId`. Operators see all,
remove jobs, pause, resume and clean the queue. Times are in milliseconds, names are camelCase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from toril.core.clock import SystemClock, moment
from toril.core.errors import InvalidOptionError, JobNotFoundError
from toril.engine.handle import Job
from toril.engine.info import JobInfo
from toril.web.access.port import Permission
from toril.web.own_envelope import (
    of_added,
    of_cleaned,
    of_job,
    of_pause,
    of_removed,
    of_stats,
    with_more,
)
from toril.web.own_pace import CallerPace
from toril.web.own_routes import Answer, OwnCall, OwnHandler, OwnRoutes, Refusal

_SHOWN = {"prioritized": "waiting", "waiting-children": "waiting"}
"""States that clients know by another word."""


class JobManager(Protocol):
    """What the API does with the queue."""

    async def add_job(
        self, kind: str, data: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Job[Any], bool]:
        """Add a job; return it, and whether there was one of its id already."""
        ...

    def get_job(self, job_id: str) -> Job[Any]:
        """Return the handle of a job."""
        ...

    async def remove_job(self, job_id: str) -> bool:
        """Remove a job; return whether it was there."""
        ...

    async def get_stats(self) -> dict[str, Any]:
        """Count jobs by state."""
        ...

    async def pause(self) -> None:
        """Let no job start."""
        ...

    async def resume(self) -> None:
        """Let jobs start again."""
        ...

    async def clean_completed(self, older_than_ms: int = ..., limit: int = ...) -> int:
        """Remove completed jobs; return how many."""
        ...

    async def clean_failed(self, older_than_ms: int = ..., limit: int = ...) -> int:
        """Remove failed jobs; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobApiOptions:
    """How jobs are shown, and how many may be added."""

    pace: CallerPace | None = None
    """How many jobs a caller may add. None: any number."""
    priority: Callable[[int], int] = int
    """Makes a priority of this API of the queue's."""
    attempts: int = 1
    """Attempts of a job that does not say."""
    limit: int = 1000
    """How many jobs one cleaning removes at most, if the request does not say."""


def serve_jobs(
    routes: OwnRoutes,
    manager: JobManager,
    options: JobApiOptions | None = None,
    *,
    path: str = "",
) -> None:
    """Add the routes of the table below.

    Parameters:
        routes: Where to add them.
        manager: What they call.
        options: How jobs are shown, and how many may be added.
        path: Where they are, such as `/queue`.

    Raises:
        InvalidOptionError: Answers go in an envelope, and the routes are of no queue.
    """
    api = _JobApi(manager, options or JobApiOptions())
    queue = routes.queue
    if routes.enveloped and queue is None:
        raise InvalidOptionError("queue=None: answers in the envelope name their queue, so name it")
    handler: OwnHandler
    for method, place, permission, handler, more in (
        ("POST", "/jobs", Permission.SUBMIT, api.submit, of_added),
        ("GET", "/jobs/{job_id}", Permission.READ, api.get, of_job),
        ("DELETE", "/jobs/{job_id}", Permission.OPERATE, api.remove, of_removed),
        ("GET", "/stats", Permission.READ, api.stats, of_stats),
        ("POST", "/pause", Permission.OPERATE, api.pause, of_pause),
        ("POST", "/resume", Permission.OPERATE, api.resume, of_pause),
        ("POST", "/clean/completed", Permission.OPERATE, api.clean_completed, of_cleaned),
        ("POST", "/clean/failed", Permission.OPERATE, api.clean_failed, of_cleaned),
    ):
        if routes.enveloped and queue is not None:
            handler = with_more(handler, more, queue)
        routes.on(method, f"{path}{place}", permission)(handler)


class _JobApi:
    def __init__(self, manager: JobManager, options: JobApiOptions) -> None:
        self._manager = manager
        self._options = options

    async def submit(self, call: OwnCall) -> Answer:
        if self._options.pace is not None:
            self._options.pace.take(call.principal.actor)
        body = await call.json(type=str, data=dict, options=dict | None)
        data = body["data"]
        if call.tenant is not None:
            if data.get("tenantId", call.tenant) != call.tenant:
                message = f"data.tenantId={data['tenantId']!r}: the key is of {call.tenant!r}"
                raise Refusal(403, "forbidden", message, field="data.tenantId")
            data = {"userId": call.user, **data, "tenantId": call.tenant}
        job, duplicate = await self._manager.add_job(body["type"], data, body["options"])
        try:
            info = await job.info()
        except JobNotFoundError:
            if duplicate:
                raise
            # A worker was quicker, and nothing is kept of it: it was taken all the same.
            return 201, {
                "jobId": job.id,
                "type": body["type"],
                "state": "waiting",
                "priority": None,
                "createdAt": moment(SystemClock().now_ms()),
            }
        if not duplicate:
            return 201, self._head(info)
        if not _is_of(info, call):
            message = f"options.jobId={job.id!r}: it is taken; choose another"
            raise Refusal(409, "taken", message, field="options.jobId")
        return {**self._head(info), "duplicate": True}

    async def get(self, call: OwnCall) -> Answer:
        info = await self._job_of(call)
        return {
            **self._head(info),
            "progress": info.progress,
            "data": info.data,
            "result": info.result,
            "failedReason": info.failed_reason,
            "attemptsMade": info.attempts_made,
            "maxAttempts": info.max_attempts or self._options.attempts,
            "processedAt": info.processed_at,
            "finishedAt": info.finished_at,
        }

    async def remove(self, call: OwnCall) -> Answer:
        info = await self._job_of(call)
        if not await self._manager.remove_job(info.id):
            raise _not_found()
        return {"removed": True}

    async def stats(self, call: OwnCall) -> Answer:
        return await self._manager.get_stats()

    async def pause(self, call: OwnCall) -> Answer:
        await self._manager.pause()
        return {"paused": True}

    async def resume(self, call: OwnCall) -> Answer:
        await self._manager.resume()
        return {"paused": False}

    async def clean_completed(self, call: OwnCall) -> Answer:
        return await self._clean(call, self._manager.clean_completed)

    async def clean_failed(self, call: OwnCall) -> Answer:
        return await self._clean(call, self._manager.clean_failed)

    async def _clean(self, call: OwnCall, clean: Callable[..., Any]) -> Answer:
        asked = await call.json(olderThan=int | None, gracePeriod=int | None, limit=int | None)
        for name, least in (("olderThan", 0), ("gracePeriod", 0), ("limit", 1)):
            value = asked[name]
            if value is not None and value < least:
                message = f"{name}={value}: expected a whole number from {least}"
                raise Refusal(422, "invalid", message, field=name)
        limit = self._options.limit if asked["limit"] is None else asked["limit"]
        age_ms = asked["gracePeriod"] if asked["olderThan"] is None else asked["olderThan"]
        given = {} if age_ms is None else {"older_than_ms": age_ms}
        removed = await clean(limit=limit, **given)
        return {"removed": removed, "more": removed >= limit}

    async def _job_of(self, call: OwnCall) -> JobInfo:
        info = await self._manager.get_job(call.request.path_params["job_id"]).info()
        if not _is_of(info, call):
            raise _not_found()
        return info

    def _head(self, info: JobInfo) -> dict[str, Any]:
        return {
            "jobId": info.id,
            "type": info.name,
            "state": _SHOWN.get(info.state, str(info.state)),
            "priority": self._options.priority(info.priority) if info.priority else None,
            "createdAt": info.created_at,
        }


def _is_of(info: JobInfo, call: OwnCall) -> bool:
    tenant = info.data.get("tenantId") if isinstance(info.data, dict) else None
    return call.tenant is None or tenant == call.tenant


def _not_found() -> Refusal:
    return Refusal(404, "not_found", "no such job: it never was, or is no longer kept")
