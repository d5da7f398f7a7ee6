"""What other queues call the things that one does with a job, a queue or an attempt."""

from __future__ import annotations

_RESULT = "`await job.result(timeout_s=10)` waits for it, `job.result_sync(10)` in plain code"
_STATE = "`await job.state()` says where it is, `await job.info()` all that is known"
_CANCEL = "`await job.cancel(reason)` stops it wherever it is"
_ADD = (
    '`await task.enqueue(...)` adds a job of a task, `await queue.add("name", {...})` one of any'
    " name"
)
_LATER = "`await task.with_options(delay=60).enqueue(...)`, or `run_at=` a moment"

JOB_WORDS = {
    # Celery's AsyncResult
    "get": _RESULT,
    "wait": _RESULT,
    "ready": _STATE,
    "successful": _STATE,
    "status": _STATE,
    "traceback": "`(await job.info()).attempts` has the traceback of each attempt",
    "revoke": _CANCEL,
    "forget": "`await job.remove()` removes it with its result",
    # RQ, arq, Dramatiq, Huey
    "get_status": _STATE,
    "refresh": _STATE,
    "return_value": _RESULT,
    "get_result": _RESULT,
    "delete": "`await job.remove()` removes it",
    "requeue": "`await job.retry()` puts it back in line",
    "abort": _CANCEL,
    # BullMQ
    "waitUntilFinished": _RESULT,
    "getState": _STATE,
}

QUEUE_WORDS = {
    "enqueue": _ADD,
    "enqueue_call": _ADD,
    "enqueue_at": _LATER,
    "enqueue_in": _LATER,
    "fetch_job": "`queue.job(job_id)` is a handle of it",
    "get_job": "`queue.job(job_id)` is a handle of it",
    "getJob": "`queue.job(job_id)` is a handle of it",
    "getJobs": '`await queue.jobs("failed")` returns a page of them',
    "getJobCounts": "`await queue.info()` has the counts",
    "addBulk": "`await queue.add_many([...])` adds them in one transaction",
    "empty": "`await queue.drain()` removes all that wait",
    "purge": "`await queue.drain()` removes all that wait",
    "delete": "`await queue.obliterate()` removes a paused queue with all that it holds",
}

CONTEXT_WORDS = {
    "retry": "`raise Retry(after_s=60)` ends the attempt and tries again",
    "request": "the context itself has `job_id`, `attempt`, `queue` and more",
    "update_state": "`context.progress({...})` tells those who look at the job",
    "update_progress": "`context.progress(50)` tells those who look at the job",
    "updateProgress": "`context.progress(50)` tells those who look at the job",
    "is_aborted": "`context.cancelled` says whether somebody has cancelled the job",
}
