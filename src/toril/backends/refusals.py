"""What both stores say when they refuse a verb. `engine/states.py` decides when."""

from __future__ import annotations

from toril.core.errors import JobError, JobNotFoundError, WrongStateError
from toril.engine.states import ALLOWED, LOOSE, State, Verb

_DONE: dict[Verb, str] = {
    "remove": "removed; cancel it first",
    "retry": "retried",
    "promote": "promoted",
    "change_delay": "delayed anew",
    "update_data": "changed",
    "set_progress": "given another progress",
    "cancel": "cancelled",
}
"""How a sentence about each verb ends. `change_priority` is refused in no state."""


def not_found(queue: str, job_id: str) -> JobNotFoundError:
    """Return the error for a job that does not exist."""
    return JobNotFoundError(
        f"queue {queue!r} has no job {job_id!r}: it was removed, or the id or queue is another",
        job_id=job_id,
        queue=queue,
    )


def wrong_state(queue: str, job_id: str, state: State, verb: Verb) -> WrongStateError:
    """Return the error for a verb that is not allowed in the state of the job."""
    unheld = set(ALLOWED[verb]) >= set(LOOSE)
    if unheld and state is State.WAITING_CHILDREN:
        done = _DONE[verb].partition(";")[0]
        text = (
            f"is {state}; only jobs that wait for no children can be {done}; cancel it first, or"
            " remove its whole flow"
        )
    elif verb == "set_progress":
        text = f"is {state}; only jobs that have not finished can be {_DONE[verb]}"
    else:
        which = "jobs that no worker holds" if unheld else f"{' or '.join(ALLOWED[verb])} jobs"
        text = f"is {state}; only {which} can be {_DONE[verb]}"
    return refused(queue, job_id, text)


def refused(queue: str, job_id: str, text: str) -> WrongStateError:
    """Return the error for a job that is no target of a verb, and why: `is ...`."""
    return WrongStateError(f"job {job_id!r} of queue {queue!r} {text}", job_id=job_id, queue=queue)


def not_paused(queue: str) -> JobError:
    """Return the error for obliterating a queue that is not paused."""
    return _refused_queue(queue, "is not paused; pause it first")


def has_running_jobs(queue: str) -> JobError:
    """Return the error for obliterating a queue whose jobs run."""
    return _refused_queue(queue, "has running jobs; wait for them, or force")


def _refused_queue(queue: str, problem: str) -> JobError:
    return WrongStateError(f"queue {queue!r} {problem}", job_id="", queue=queue)


def of_schedule(queue: str, job_id: str) -> WrongStateError:
    """Return the error for a job that only its schedule may remove."""
    return WrongStateError(
        f"job {job_id!r} of queue {queue!r} is the next one of its schedule; remove the schedule",
        job_id=job_id,
        queue=queue,
    )
