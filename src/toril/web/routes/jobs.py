"""Routes that read jobs, and add them."""

from __future__ import annotations

from toril.core.errors import JobNotFoundError
from toril.engine.explanation import Explanation
from toril.engine.info import AttemptInfo
from toril.engine.states import State
from toril.rest.answers import AddedJob, AddedJobs, Event, JobFacts, JobLine, LogPage, Page, Value
from toril.rest.bodies import JobQuery, LineQuery, ListQuery, NewJobBody, NewJobsBody, PartQuery
from toril.web.access.port import Permission
from toril.web.adding import add_jobs
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.lines import job_facts, value_of
from toril.web.listing import event_list, job_lines
from toril.web.paging import after_number, number_cursor

routes = Routes("jobs")

ORDER = (
    State.ACTIVE,
    State.FAILED,
    State.WAIT,
    State.PRIORITIZED,
    State.DELAYED,
    State.WAITING_CHILDREN,
    State.COMPLETED,
)
"""Those that somebody is most likely to look for come first."""
NEWEST_EVENTS = 1000
"""Events of a queue that are looked through for those of one job."""


@routes.get("/queues/{queue}/jobs")
async def list_jobs(call: Call, queue: str, query: JobQuery) -> Page[JobLine]:
    """List the jobs of a queue, with previews in place of payloads.

    Without a state: all states, the most urgent to look at first.
    """
    found, _ = await call.existing(queue)
    page = await found.jobs(
        query.state or ORDER,
        limit=query.limit,
        after=query.after,
        newest_first=query.newest_first,
    )
    return Page(job_lines(call, page.jobs), page.next)


@routes.post("/queues/{queue}/jobs", Permission.SUBMIT, errors=(409,), submits=True)
async def add_job(call: Call, queue: str, body: NewJobBody) -> AddedJob:
    """Add a job.

    If the app has its task, the payload is checked against it. With a header `Idempotency-Key` a
    second request with the same key adds nothing for a day, and answers with the first one's job.
    """
    return (await add_jobs(call, queue, [body]))[0]


@routes.post("/queues/{queue}/jobs/batch", Permission.SUBMIT, errors=(409,), submits=True)
async def add_jobs_together(call: Call, queue: str, body: NewJobsBody) -> AddedJobs:
    """Add up to 1,000 jobs, all or none; otherwise as a single one."""
    return AddedJobs(jobs=await add_jobs(call, queue, body.jobs))


@routes.get("/queues/{queue}/jobs/{job_id}")
async def get_job(call: Call, queue: str, job_id: str) -> JobFacts:
    """Show one job; its payload, result, attempts and log have addresses of their own."""
    return job_facts(await call.job(queue, job_id), payloads=call.payloads)


@routes.get("/queues/{queue}/jobs/{job_id}/data")
async def get_data(call: Call, queue: str, job_id: str) -> Value:
    """Return the payload of a job."""
    call.need_payloads()
    return value_of((await call.job(queue, job_id)).data)


@routes.get("/queues/{queue}/jobs/{job_id}/result")
async def get_result(call: Call, queue: str, job_id: str) -> Value:
    """Return what a job has returned; null as long as it has not completed."""
    call.need_payloads()
    return value_of((await call.job(queue, job_id)).result)


@routes.get("/queues/{queue}/jobs/{job_id}/attempts")
async def list_attempts(call: Call, queue: str, job_id: str, query: ListQuery) -> Page[AttemptInfo]:
    """List the attempts of a job that have ended, oldest first, the newest 50."""
    call.need_payloads()
    return Page((await call.job(queue, job_id)).attempts)


@routes.get("/queues/{queue}/jobs/{job_id}/logs")
async def list_log_lines(call: Call, queue: str, job_id: str, query: LineQuery) -> LogPage:
    """List what a job has logged, oldest first."""
    call.need_payloads()
    start = after_number(query.after)
    info = await call.queue(queue).job(job_id).info()  # secrets of its payload may be in its log
    lines, total = await call.app.backend().logs.read(queue, job_id, start=start, limit=query.limit)
    end = start + len(lines)
    return LogPage(
        items=call.sight.logs(lines, info),
        total=total,
        next=number_cursor(end) if end < total else None,
    )


@routes.get("/queues/{queue}/jobs/{job_id}/events")
async def list_job_events(call: Call, queue: str, job_id: str, query: PartQuery) -> Page[Event]:
    """List what happened to a job, of the newest 1,000 events of its queue."""
    newest = await call.app.backend().events.newest(queue, limit=NEWEST_EVENTS)
    its = [event for event in newest if event.job_id == job_id][-query.limit :]
    return Page(event_list(call, queue, its))


@routes.get("/queues/{queue}/jobs/{job_id}/explanation")
async def explain_job(call: Call, queue: str, job_id: str) -> Explanation:
    """Say why a job is not running, the most important reason first."""
    job = call.queue(queue).job(job_id)
    found = await job.explain()
    try:
        info = await job.info() if found.state is not None else None
    except JobNotFoundError:  # it has gone meanwhile
        info = None
    shown = call.sight.explanation(found, info)
    assert shown is not None  # noqa: S101 - the caller may see the queue
    return shown
