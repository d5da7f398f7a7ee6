"""Every error that Toril raises.

TorilError
├── InvalidOptionError          an option or argument makes no sense (also a ValueError)
│   ├── InvalidSettingError     ... and it came from the environment or a file
│   └── QueryError              the text of a search cannot be read
├── InvalidPayloadError         a payload does not fit its task
│   ├── PayloadTooLargeError
│   └── SealedFieldError        a sealed field cannot be sealed or opened
├── WorkerStartError            a function of the app's own failed before the first job
├── UnknownTaskError            no task is bound to this queue and name
├── ScheduleNotFoundError       no such schedule
├── OperationNotFoundError      no such operation on many jobs
├── UserConflictError           a user's rights stay as they are, because of what others have done
├── JobError                    about one job, which `job_id` and `queue` name
│   ├── JobNotFoundError
│   ├── WrongStateError         the job is not in a state that allows this
│   ├── LeaseLostError          somebody else owns the job now
│   ├── JobFailedError          `result()` was asked of a job that failed
│   └── ResultTimeoutError      `result()` waited long enough (also a TimeoutError)
├── AttemptError                how an attempt ended without the task's own doing
│   ├── AttemptTimeoutError     it ran longer than `timeout_s`
│   └── ProcessDiedError        its process was killed, crashed or ran out of memory
├── MigrationError              a queue could not be moved whole to another store
├── OutboxError                 the caller's database, or the outbox in it, cannot be used
├── MissingExtraError           a feature needs an extra that is not installed
└── BackendError                the store
    ├── BackendClosedError
    ├── StoreUnreachableError   the server does not answer; `sent` says what that may mean
    ├── StoreBusyError          somebody else holds the lock for too long
    ├── StoreReadOnlyError
    ├── StoreFullError          the disk (or a quota) is full
    ├── StoreCorruptError
    ├── StoreLostError          the file, or its log, was removed or replaced while in use
    ├── StoreDeniedError        the server's user lacks a right
    └── StoreForeignError       the file is not ours, or was written by a newer Toril

Two are warnings, for `warnings.filterwarnings`: `UnknownTaskWarning` and `HabitWarning`.

Outcomes (`Retry`, `Snooze`, `Cancel`, `Fail`) are not errors: see `engine/outcomes.py`.
"""

from __future__ import annotations


class TorilError(Exception):
    """The root of all errors of this library."""


class InvalidOptionError(TorilError, ValueError):
    """An option was refused when given. The message names it, its value and what would do."""


class InvalidSettingError(InvalidOptionError):
    """A setting from the environment or a file was refused."""


class QueryError(InvalidOptionError):
    """The text of a search cannot be read. The message says where, and what would do."""

    def __init__(self, message: str, *, position: int, word: str) -> None:
        self.position = position
        """Which character, from 1."""
        self.word = word
        """What stands there."""
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_query_error, (str(self), self.position, self.word)


def _rebuild_query_error(message: str, position: int, word: str) -> QueryError:
    return QueryError(message, position=position, word=word)


class InvalidPayloadError(TorilError, ValueError):
    """A payload does not fit its task. Correct the call, or the task's parameters."""

    def __init__(self, task: str, field: str, problem: str) -> None:
        self.task = task
        self.field = field
        self.problem = problem
        super().__init__(f"task {task!r}, field {field!r}: {problem}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.task, self.field, self.problem)


class PayloadTooLargeError(InvalidPayloadError):
    """A payload is over `max_payload_bytes`. Store the data elsewhere and pass its address."""


class SealedFieldError(InvalidPayloadError):
    """A sealed field cannot be sealed or opened: a key is missing, wrong, or the value changed."""


class WorkerStartError(TorilError):
    """The app's `on_start` or `lifespan` failed, so that no job is run. Its cause says more."""


class UnknownTaskError(TorilError, LookupError):
    """No task is bound to this queue and job name."""


class UnknownTaskWarning(UserWarning):
    """A job was added by a name that no task of the app has, on a queue where it has others."""


class HabitWarning(UserWarning):
    """Jobs are added or waited for in a way that slows a service. Only in `python -X dev`."""


class ScheduleNotFoundError(TorilError, LookupError):
    """No such schedule: a wrong id or queue, or it was removed."""


class OperationNotFoundError(TorilError, LookupError):
    """No such operation on many jobs: a wrong id, or it was forgotten, which is after a week."""


class UserConflictError(TorilError):
    """A user's rights stay as they are. The message says why, and what to do.

    `code` is `changed_meanwhile`: somebody else has changed them since they were read; or
    `last_administrator`: no user could manage keys and users any more.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class JobError(TorilError):
    """Something about one job."""

    def __init__(self, message: str, *, job_id: str, queue: str) -> None:
        self.job_id = job_id
        self.queue = queue
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_job_error, (type(self), str(self), self.job_id, self.queue)


def _rebuild_job_error(kind: type[JobError], message: str, job_id: str, queue: str) -> JobError:
    return kind(message, job_id=job_id, queue=queue)


class JobNotFoundError(JobError, LookupError):
    """No such job: a wrong id or queue, or it was removed."""


class WrongStateError(JobError):
    """The job is not in a state that allows this; the message names both."""


class LeaseLostError(JobError):
    """The lease ended and the job was given to somebody else. The late outcome changed nothing."""


class JobFailedError(JobError):
    """The job failed for good; the message is its failure's reason."""


class ResultTimeoutError(JobError, TimeoutError):
    """The job had not finished in time. It goes on: ask again, or look at its state."""


class AttemptError(TorilError):
    """An attempt ended without the task's own doing. Retried like any other exception."""


class AttemptTimeoutError(AttemptError, TimeoutError):
    """The attempt ran longer than the task's `timeout_s`."""


class ProcessDiedError(AttemptError):
    """The process that ran the attempt ended: killed by a signal, crashed, or out of memory."""


class MigrationError(TorilError):
    """A queue could not be moved whole: what two stores count does not fit.

    The message names the queue, the state and both numbers. The queue is paused in both stores and
    no job is lost; end what else is at work on it, and move it again.
    """


class OutboxError(TorilError):
    """The outbox cannot be used: its table is missing, or its database refuses or does not answer.

    What was asked was not done; of a commit whose answer was lost, the relay finds out by itself.
    """


class MissingExtraError(TorilError, ImportError):
    """A feature needs an extra; the message says what to install."""


class BackendError(TorilError):
    """The store could not do what was asked. Nothing was half done."""


class BackendClosedError(BackendError):
    """The app was closed before this call."""


class StoreUnreachableError(BackendError):
    """The store's server could not be reached, or did not answer.

    `sent` is False: the server was given nothing, or refused it unseen; call again. `sent` is True:
    the call was under way when the connection was lost, and its outcome is unknown. It may have
    been done; what is called again must be harmless when it is done twice.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_unreachable, (type(self), str(self), self.sent)


def _rebuild_unreachable(
    kind: type[StoreUnreachableError], message: str, sent: bool
) -> StoreUnreachableError:
    return kind(message, sent=sent)


class StoreBusyError(BackendError):
    """Somebody else held the store for too long: a lock of its file, or a script of its server."""


class StoreReadOnlyError(BackendError):
    """The store cannot be written: a read-only file, folder or file system."""


class StoreDeniedError(BackendError):
    """The server's user lacks a right, which the message names. Nothing was done."""


class StoreFullError(BackendError):
    """There is no room left. Nothing was written; work goes on once there is room again."""


class StoreCorruptError(BackendError):
    """The file is damaged. Restore it from a backup, or move it away to start anew."""


class StoreLostError(BackendError):
    """The store's file, or the log beside it, was removed or replaced while it was in use.

    What was asked was not written. Stop all processes that use the store, see to its files, and
    start them again.
    """


class StoreForeignError(BackendError):
    """The file belongs to another program, or to a newer Toril."""
