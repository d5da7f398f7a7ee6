"""Background jobs for Python: durable with no server to start with, BullMQ's queues when you grow.

```python
from toril import App, RetryPolicy

app = App()                                   # jobs live in ./toril.db

@app.task(queue="mail", retry=RetryPolicy(max_attempts=3))
async def greet(to: str, name: str) -> str: ...

job = await greet.enqueue(to="jo@example.com", name="Jo")
```
"""

from toril.app import App
from toril.core.errors import (
    AttemptError,
    AttemptTimeoutError,
    BackendClosedError,
    BackendError,
    InvalidOptionError,
    InvalidPayloadError,
    InvalidSettingError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    LeaseLostError,
    MissingExtraError,
    PayloadTooLargeError,
    ProcessDiedError,
    ResultTimeoutError,
    StoreBusyError,
    StoreCorruptError,
    StoreForeignError,
    StoreFullError,
    StoreReadOnlyError,
    TorilError,
    UnknownTaskError,
    WrongStateError,
)
from toril.engine.context import Context
from toril.engine.events import EventName, EventRecord
from toril.engine.handle import Job
from toril.engine.hooks import HookEvent
from toril.engine.info import AttemptInfo, JobInfo, QueueInfo, WorkerInfo
from toril.engine.middleware import Call
from toril.engine.options import JobOptions, KeepPolicy, Priority, RateLimit, RetryPolicy
from toril.engine.outcomes import Cancel, Fail, Outcome, Retry, Snooze
from toril.engine.profiles import Profile
from toril.engine.queue import Page, Queue
from toril.engine.runners.processes import ProcessOptions
from toril.engine.states import State
from toril.engine.worker import Worker, WorkerOptions
from toril.settings import Settings
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided
from toril.tasks.task import Task
from toril.version import VERSION as __version__  # noqa: N811 - Python's name for it

__all__ = [
    "App",
    "AttemptError",
    "AttemptInfo",
    "AttemptTimeoutError",
    "BackendClosedError",
    "BackendError",
    "Call",
    "Cancel",
    "Context",
    "EventName",
    "EventRecord",
    "Fail",
    "HookEvent",
    "InvalidOptionError",
    "InvalidPayloadError",
    "InvalidSettingError",
    "Job",
    "JobError",
    "JobFailedError",
    "JobInfo",
    "JobNotFoundError",
    "JobOptions",
    "KeepPolicy",
    "LeaseLostError",
    "MissingExtraError",
    "Outcome",
    "Page",
    "PayloadTooLargeError",
    "Priority",
    "ProcessDiedError",
    "ProcessOptions",
    "Profile",
    "Queue",
    "QueueInfo",
    "RateLimit",
    "ResultTimeoutError",
    "Retry",
    "RetryPolicy",
    "Settings",
    "Snooze",
    "State",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreForeignError",
    "StoreFullError",
    "StoreReadOnlyError",
    "Task",
    "TaskBundle",
    "TorilError",
    "UnknownTaskError",
    "Worker",
    "WorkerInfo",
    "WorkerOptions",
    "WrongStateError",
    "__version__",
    "provided",
]
