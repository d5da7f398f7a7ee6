"""Routes that change single jobs."""

from __future__ import annotations

from msgspec import UNSET

from toril.rest.answers import Done, JobFacts
from toril.rest.bodies import Act, ChangeBody, LogBody, RemoveQuery, RetryBody
from toril.web.below import need_below
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.lines import job_facts
from toril.web.problems import Problem

routes = Routes("jobs")


@routes.post("/queues/{queue}/jobs/{job_id}/retry", errors=(409,))
async def retry_job(call: Call, queue: str, job_id: str, body: RetryBody) -> JobFacts:
    """Put a job back in line that has failed or completed."""
    await call.queue(queue).job(job_id).retry(reset_attempts=body.reset_attempts)
    return await _facts(call, queue, job_id)


@routes.post("/queues/{queue}/jobs/{job_id}/promote", errors=(409,))
async def promote_job(call: Call, queue: str, job_id: str, body: Act) -> JobFacts:
    """Make a delayed job ready now."""
    await call.queue(queue).job(job_id).promote()
    return await _facts(call, queue, job_id)


@routes.post("/queues/{queue}/jobs/{job_id}/cancel", errors=(409,))
async def cancel_job(call: Call, queue: str, job_id: str, body: Act) -> Done:
    """Stop a job for good: at once if it waits; if it runs, its worker is told.

    The reason is kept with the job.
    """
    await call.queue(queue).job(job_id).cancel()
    return Done(count=1)


@routes.patch("/queues/{queue}/jobs/{job_id}", errors=(409,))
async def change_job(call: Call, queue: str, job_id: str, body: ChangeBody) -> JobFacts:
    """Change a job's payload, delay or priority. Each is a change of its own, in this order."""
    job = call.queue(queue).job(job_id)
    if body.data is not UNSET:
        call.need_payloads()
        await job.update_data(body.data)
    if body.delay_s is not UNSET:
        await job.change_delay(body.delay_s)
    if body.priority is not UNSET:
        await job.change_priority(body.priority, lifo=body.lifo)
    return await _facts(call, queue, job_id)


@routes.delete("/queues/{queue}/jobs/{job_id}", errors=(409,))
async def remove_job(call: Call, queue: str, job_id: str, query: RemoveQuery) -> Done:
    """Remove a job. One that runs has to be cancelled first.

    With `below`: also everything below it in its flow, in whatever state.
    """
    if query.below:
        await need_below(call, queue, job_id)
        return Done(count=await call.app.flows.get(queue, job_id).remove())
    if not await call.queue(queue).job(job_id).remove():
        raise Problem(404, "job_not_found", f"queue {queue!r} has no job {job_id!r}")
    return Done(count=1)


@routes.post("/queues/{queue}/jobs/{job_id}/logs")
async def add_log_line(call: Call, queue: str, job_id: str, body: LogBody) -> Done:
    """Add a line to the log of a job; answers how many lines it has."""
    return Done(count=await call.queue(queue).job(job_id).add_log(body.line))


@routes.delete("/queues/{queue}/jobs/{job_id}/parent", errors=(409,))
async def leave_flow(call: Call, queue: str, job_id: str) -> Done:
    """Untie a job from its parent, which then waits for it no longer; the job itself stays."""
    return Done(count=int(await call.queue(queue).job(job_id).leave_flow()))


async def _facts(call: Call, queue: str, job_id: str) -> JobFacts:
    """Return the job as it is now."""
    return job_facts(await call.job(queue, job_id), payloads=call.payloads)
