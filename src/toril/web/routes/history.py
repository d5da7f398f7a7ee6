"""Routes about what queues did, and how much there is to do: for charts and autoscalers."""

from __future__ import annotations

from toril.core.errors import InvalidOptionError
from toril.engine.history import Durations, HistoryPoint
from toril.engine.scaling import Scaling, scaling
from toril.rest.answers import DurationBucket, DurationFacts, HistoryFacts, PointFacts
from toril.rest.bodies import HistoryQuery, ScalingQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.problems import Problem

routes = Routes("history")


@routes.get("/queues/{queue}/history")
async def get_history(call: Call, queue: str, query: HistoryQuery) -> HistoryFacts:
    """Show what a queue did: outcomes, waits and runs, as a series of points.

    Minutes are kept for 7 days, hours for 90 days, days (UTC) for two years.
    """
    if query.since is not None and query.since_s is not None:
        raise Problem(422, "invalid", "since_s: give since or since_s, not both", field="since_s")
    _, info = await call.existing(queue)
    try:
        found = await call.app.history(
            queue,
            task=query.task,
            since=query.since if query.since_s is None else query.since_s,
            until=query.until,
            step=query.step_s,
        )
    except InvalidOptionError as error:
        raise _refusal(error, query) from None
    return HistoryFacts(
        queue=queue,
        task=found.task,
        written=info.history,
        since=found.total.at,
        step_s=found.step_s,
        tasks=found.tasks,
        points=[_point(one, buckets=query.buckets) for one in found.points],
        total=_point(found.total, buckets=query.buckets),
    )


@routes.get("/scaling")
async def get_scaling(call: Call, query: ScalingQuery) -> Scaling:
    """Say how much there is to do, as one object of numbers, for KEDA's `metrics-api` scaler.

    Of queues that the caller may see. Of a worker that serves others as well, a key for some queues
    only is told nothing.
    """
    for name in query.queue:
        call.need(Permission.READ, name)
    if call.principal.queues is None:
        return await call.app.scaling(query.queue or None, concurrency=query.concurrency)
    workers = [one for one in await call.app.workers() if all(map(call.sees, one.queues))]
    if query.queue:
        names = list(dict.fromkeys(query.queue))
        asked = [await call.queue(name).info() for name in names]
        found = [info for info in asked if info is not None]
    else:
        found = await call.queues()
        names = [*(info.name for info in found), *(name for one in workers for name in one.queues)]
    return scaling(found, workers, names=names, concurrency=query.concurrency)


def _refusal(error: InvalidOptionError, query: HistoryQuery) -> Problem:
    """Return the answer to an option that makes no sense, by its name in the query."""
    text = str(error)
    option, _, rest = text.partition("=")
    names = {"step": "step_s", "since": "since" if query.since_s is None else "since_s"}
    name = names.get(option, option)
    return Problem(422, "invalid", f"{name}={rest}", field=name)


def _point(point: HistoryPoint, *, buckets: bool) -> PointFacts:
    return PointFacts(
        at=point.at,
        completed=point.completed,
        failed=point.failed,
        retried=point.retried,
        wait=_durations(point.wait, buckets=buckets),
        run=_durations(point.run, buckets=buckets),
        oldest_waiting_s=point.oldest_waiting_s,
    )


def _durations(found: Durations, *, buckets: bool) -> DurationFacts:
    ends = [DurationBucket(up_to_s=end_s, count=many) for end_s, many in found.buckets.items()]
    return DurationFacts(
        count=found.count,
        sum_s=found.sum_s,
        mean_s=found.mean_s,
        p50_s=found.p50_s,
        p95_s=found.p95_s,
        p99_s=found.p99_s,
        longest_s=found.longest_s,
        buckets=ends if buckets else None,
    )
