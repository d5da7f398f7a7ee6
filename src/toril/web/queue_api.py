"""A small API of an application's queues for its administrators: figures, jobs, retry, schedules.

```python
routes = OwnRoutes(access, queue=None)
serve_queues(routes, QueueApi(app, ["email-sending", "reports"], dead_letter="dead-letter"))
web = Starlette(routes=routes.made("/api/jobs"))
```

Each caller is shown the queues that its key is for. Payloads are shortened, secrets masked. Times
are in milliseconds, names are camelCase. Answers also have the members `success`, `data` and
`timestamp` of older clients of such an API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from toril.app import App
from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError, JobNotFoundError, WrongStateError
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.letters import is_letter
from toril.engine.queue import Queue
from toril.engine.schedules import cron as crons
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.states import State
from toril.library.deadletter.payloads import published_letter
from toril.web.access.port import Access, Permission
from toril.web.access.sight import Sight
from toril.web.own_routes import Answer, OwnCall, OwnRoutes, Refusal

SHOWN_BYTES = 2048
"""Of a payload."""
ERRORS_WITHIN_S = 300.0
DURATIONS_WITHIN_S = 3600.0
MOST = 1000
"""Jobs of one answer."""
_STATES: dict[str, tuple[State, ...]] = {
    "waiting": (State.WAIT, State.PRIORITIZED),
    "active": (State.ACTIVE,),
    "completed": (State.COMPLETED,),
    "failed": (State.FAILED,),
    "delayed": (State.DELAYED,),
}
_CLEARED = ("completed", "failed", "delayed", "waiting")
Defaults = Callable[[], Awaitable[Sequence[ScheduleInfo]]]
"""Makes an application's built-in schedules, and returns them."""


class QueueApi:
    """What the routes do.

    Parameters:
        app: Whose queues.
        queues: Their names.
        dead_letter: Which of them is the dead-letter queue. None: none.
        names: By queue: the name that its jobs have where a letter says none.
        defaults: Makes the built-in schedules. None: there are none.
        titles: By queue: what older clients show. Default: the names.
    """

    def __init__(
        self,
        app: App,
        queues: Sequence[str],
        *,
        dead_letter: str | None = None,
        names: Mapping[str, str] | None = None,
        defaults: Defaults | None = None,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self._app = app
        self._queues = list(queues)
        self._dead_letter = dead_letter
        self._names = dict(names or {})
        self._defaults = defaults
        self._titles = dict(titles or {})

    async def stats(self, call: OwnCall) -> Answer:
        """Count jobs of all queues, and show workers, errors and durations."""
        seen = [name for name in self._queues if call.principal.sees(name)]
        found = {info.name: info for info in await self._app.queues()}
        counts = {name: _counts(found.get(name)) for name in seen}
        totals = {state: sum(one[state] for one in counts.values()) for state in _STATES}
        now = datetime.now(UTC)
        histories = await asyncio.gather(*(self._recent(name) for name in seen))
        recent = dict(zip(seen, histories, strict=True))
        sight = Sight(call.principal, self._app.masker)
        workers = []
        for worker in await self._app.workers():
            shown = sight.worker(worker)
            if shown is not None:
                last_seen = now - timedelta(seconds=worker.beat_age_s)
                workers.append(
                    {
                        "id": worker.id,
                        "queues": shown["queues"],
                        "lastSeen": last_seen,
                        "busy": shown["running"],
                    }
                )
        letters = counts.get(self._dead_letter or "")
        data = [
            {
                "name": self._titles.get(name, name),
                **{state: one[state] for state in _STATES},
                "total": sum(one[state] for state in _STATES),
            }
            for name, one in counts.items()
        ]
        return {
            "queues": counts,
            "totals": totals,
            "deadLetter": 0 if letters is None else sum(letters[state] for state in _STATES),
            "workers": workers,
            "errorRate": {name: one[0] for name, one in recent.items()},
            "processingMs": {name: one[1] for name, one in recent.items()},
            "success": True,
            "data": data,
            "timestamp": now,
        }

    async def queue(self, call: OwnCall) -> Answer:
        """Show one queue, and some of its jobs."""
        name = self._known(call, call.request.path_params["queueName"], Permission.READ)
        given = call.request.query_params
        status = given.get("status")
        if status is not None and status not in _STATES:
            raise _wrong("status", status, [*_STATES])
        start, end = _number(given, "start", 0), _number(given, "end", 49)
        if not start <= end < start + MOST:
            raise _wrong("end", str(end), [f"{start} to {start + MOST - 1}"])
        info = await self._app.queue(name).info()
        sight = Sight(call.principal, self._app.masker)
        jobs = []
        for one in await self._jobs(self._app.queue(name), status, start, end):
            shown = sight.job(one)
            if shown is not None:
                jobs.append(_job(shown))
        counts = _counts(info)
        paused = counts.pop("paused")
        lists = {state: [one for one in jobs if one["state"] == state] for state in _STATES}
        return {
            "name": name,
            "isPaused": paused,
            "counts": counts,
            "jobs": jobs,
            "success": True,
            "data": {"queueName": name, **lists, "counts": counts},
            "timestamp": datetime.now(UTC),
        }

    async def clear(self, call: OwnCall) -> Answer:
        """Remove jobs of a queue, or one job. Those that run stay."""
        name = self._known(call, call.request.path_params["queueName"], Permission.OPERATE)
        given = call.request.query_params
        queue = self._app.queue(name)
        if (job_id := given.get("jobId")) is not None:
            removed = int(await queue.job(job_id).remove())
            return _told({"removed": removed}, f"{removed} jobs removed from {name}")
        status = given.get("status") or given.get("type") or "completed"
        if status not in (*_CLEARED, "all"):
            raise _wrong("status", status, [*_CLEARED, "all"])
        older_than_s = _number(given, "olderThanMs", 0) / 1000
        if status == "all" and given.get("confirm") != name:
            message = f"confirm: to remove all jobs of {name}, add confirm={name}"
            raise Refusal(422, "invalid", message, field="confirm", allowed=[name])
        removed = 0
        for word in _CLEARED if status == "all" else (status,):
            for state in _STATES[word]:
                removed += len(await queue.clean(state, older_than=older_than_s))
        return _told({"removed": removed}, f"{removed} jobs removed from {name}")

    async def retry(self, call: OwnCall) -> Answer:
        """Put a failed job back in line, or the job of a dead letter."""
        asked = await call.json(queueName=str, jobId=str)
        name = self._known(call, asked["queueName"], Permission.OPERATE)
        job = self._app.queue(name).job(asked["jobId"])
        info = await job.info()
        if name == self._dead_letter:
            queue, job_id = await self._redrive(info)
            job = self._app.queue(queue).job(job_id)
        elif info.state is not State.FAILED:
            message = f"job {job.id} is {_word(info.state)}: only a failed job can be retried"
            raise WrongStateError(message, job_id=job.id, queue=name)
        else:
            await job.retry()
        answer = {"jobId": job.id, "state": _word(await job.state())}
        return _told(answer, f"job {job.id} is tried again")

    async def schedule(self, call: OwnCall) -> Answer:
        """Make a schedule, or the built-in ones."""
        asked = await call.json(
            type=str | None, queueName=str | None, name=str | None, cron=str | None,
            timezone=str | None, data=dict | None,
        )  # fmt: skip
        given = {name for name, value in asked.items() if value is not None}
        if given <= {"type"} and asked["type"] in (None, "defaults") and self._defaults is not None:
            for queue in self._queues:
                self._known(call, queue, Permission.OPERATE)
            built_in = [_schedule(one) for one in await self._defaults()]
            return _told({"schedules": built_in}, f"{len(built_in)} schedules are set")
        if asked["type"] is not None:
            raise _wrong("type", asked["type"], ["defaults"])
        for field in ("queueName", "name", "cron"):
            if asked[field] is None:
                raise Refusal(422, "invalid", f"{field}: it is missing", field=field)
        name = self._known(call, asked["queueName"], Permission.OPERATE)
        timezone = asked["timezone"] or "UTC"
        for field, check, value in (
            ("cron", crons.expanded, asked["cron"]),
            ("timezone", crons.zone, timezone),
        ):
            try:
                check(value)
            except InvalidOptionError as error:
                raise Refusal(422, "invalid", str(error), field=field) from None
        made = await self._app.schedules.put(
            asked["name"],
            self._app.queue(name),
            asked["data"],
            name=asked["name"],
            cron=asked["cron"],
            timezone=timezone,
        )
        return _told(_schedule(made), f"schedule {made.id} is set")

    async def _redrive(self, info: JobInfo) -> tuple[str, str]:
        """Bring the job of a letter back; return its queue and id."""
        if is_letter(info.id):
            job = await self._app.dead_letters(info.queue).redrive(info.id)
            return job.queue, job.id
        letter = published_letter(info.data)
        if letter is None:
            raise JobNotFoundError(f"job {info.id} is no letter", job_id=info.id, queue=info.queue)
        queue = letter.original_queue
        if queue not in self._queues:
            raise _no_queue(queue, self._queues)
        added = await self._app.queue(queue).add(
            self._names.get(queue, queue), letter.original_data, None
        )
        await self._app.queue(info.queue).job(info.id).remove()
        return queue, added.id

    async def _recent(self, name: str) -> tuple[float | None, dict[str, float | None]]:
        """Return the share of attempts that failed lately, and how long attempts took, in ms."""
        last = (await self._app.history(name, since=ERRORS_WITHIN_S, step=60)).total
        hour = (await self._app.history(name, since=DURATIONS_WITHIN_S, step=60)).total.run
        bad = last.failed + last.retried
        attempts = last.completed + bad
        rate = round(bad / attempts, 4) if attempts else None
        return rate, {"p50": _ms(hour.p50_s), "p95": _ms(hour.p95_s)}

    async def _jobs(
        self, queue: Queue, status: str | None, start: int, end: int
    ) -> Sequence[JobInfo]:
        words = [status] if status is not None else [*_STATES]
        states = [state for word in words for state in _STATES[word]]
        newest_first = status in ("completed", "failed")
        found: list[JobInfo] = []
        after: str | None = None
        while len(found) <= end:
            page = await queue.jobs(
                states, limit=min(MOST, end + 1 - len(found)), after=after,
                newest_first=newest_first,
            )  # fmt: skip
            found += page.jobs
            after = page.next
            if after is None:
                break
        return found[start : end + 1]

    def _known(self, call: OwnCall, name: str, permission: Permission) -> str:
        """Return a queue's name, if there is one and the caller may do something to it."""
        seen = [one for one in self._queues if call.principal.sees(one)]
        if name not in seen:
            raise _no_queue(name, seen)
        if not call.principal.may(permission, name):
            needs = f"this needs the right to {permission.value} {name}"
            raise Refusal(403, "forbidden", f"{needs}; {call.principal.name} has not")
        return name


def serve_queues(routes: OwnRoutes, api: QueueApi) -> None:
    """Add the routes `/stats`, `/queues/{queueName}`, `/retry` and `/schedule`.

    Parameters:
        routes: Where to add them; made with `queue=None`.
        api: What they call.
    """
    for method, path, permission, handler in (
        ("GET", "/stats", Permission.READ, api.stats),
        ("GET", "/queues/{queueName}", Permission.READ, api.queue),
        ("DELETE", "/queues/{queueName}", Permission.OPERATE, api.clear),
        ("POST", "/retry", Permission.OPERATE, api.retry),
        ("POST", "/schedule", Permission.OPERATE, api.schedule),
    ):
        routes.on(method, path, permission)(handler)


def metrics_routes(app: App, access: Access, path: str = "/metrics") -> list[Route]:
    """Return a route of Prometheus's figures, for who may read; of all queues that the key is for.

    Parameters:
        app: Whose figures.
        access: Says who calls.
        path: Where it is.
    """
    routes = OwnRoutes(access, queue=None)

    async def figures(call: OwnCall) -> Answer:
        seen = [one.name for one in await app.queues() if call.principal.sees(one.name)]
        return PlainTextResponse(await app.prometheus(seen))

    routes.on("GET", path, Permission.READ)(figures)
    return routes.made()


def _counts(info: QueueInfo | None) -> dict[str, Any]:
    if info is None:
        return {**dict.fromkeys(_STATES, 0), "paused": False}
    return {
        "waiting": info.waiting + info.prioritized,
        "active": info.active,
        "completed": info.completed,
        "failed": info.failed,
        "delayed": info.delayed,
        "paused": info.paused,
    }


def _job(info: JobInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "state": _word(info.state),
        "data": _short(info.data),
        "attemptsMade": info.attempts_made,
        "failedReason": info.failed_reason,
        "timestamp": _epoch_ms(info.created_at),
        "processedOn": _epoch_ms(info.processed_at),
        "finishedOn": _epoch_ms(info.finished_at),
        "progress": info.progress,
    }


def _short(data: Any) -> Any:
    """Return a payload; of a long one its beginning, as text."""
    text = msgspec.json.encode(data, enc_hook=str)
    if len(text) <= SHOWN_BYTES:
        return data
    return f"{text[:SHOWN_BYTES].decode(errors='ignore')}… ({len(text):,} bytes)"


def _word(state: State) -> str:
    return "waiting" if state in _STATES["waiting"] else str(state)


def _schedule(info: ScheduleInfo) -> dict[str, Any]:
    return {"scheduleId": info.id, "nextRun": info.next_at}


def _told(answer: dict[str, Any], message: str) -> Answer:
    return {**answer, "success": True, "message": message}


def _epoch_ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s * 1000, 3)


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Refusal(
            422, "invalid", f"{name}={text!r}: expected a whole number from 0", field=name
        )
    return int(text)


def _wrong(field: str, value: str, allowed: Sequence[str]) -> Refusal:
    message = f"{field}={value!r}: expected one of {', '.join(allowed)}"
    return Refusal(422, "invalid", message, field=field, allowed=allowed)


def _no_queue(name: str, known: Sequence[str]) -> Refusal:
    return Refusal(
        404, "not_found", unknown("queue", name, known), field="queueName", allowed=known
    )
