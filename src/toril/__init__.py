"""Background jobs for Python: durable with no server to start with, BullMQ's queues when you grow.

```python
from toril import App, RetryPolicy

app = App()                                   # jobs live in ./toril.db

@app.task(queue="mail", retry=RetryPolicy(max_attempts=3))
async def greet(to: str, name: str) -> str: ...

job = await greet.enqueue(to="jo@example.com", name="Jo")
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from toril.version import VERSION as __version__  # noqa: N811 - Python's name for it

# Names are imported when they are first asked for: the command line, child processes and pytest
# start without the engine. Type checkers read the imports, Python the table below.
if TYPE_CHECKING:
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
        MigrationError,
        MissingExtraError,
        PayloadTooLargeError,
        ProcessDiedError,
        ResultTimeoutError,
        StoreBusyError,
        StoreCorruptError,
        StoreDeniedError,
        StoreForeignError,
        StoreFullError,
        StoreLostError,
        StoreReadOnlyError,
        StoreUnreachableError,
        TorilError,
        UnknownTaskError,
        WrongStateError,
    )
    from toril.core.reading import RawText
    from toril.engine.context import Context
    from toril.engine.deduplication import Deduplication
    from toril.engine.events import EventName, EventRecord
    from toril.engine.flow_stuck import StuckFlow
    from toril.engine.flow_tree import FlowNode, FlowProgress
    from toril.engine.flows import Flow, Flows
    from toril.engine.handle import Job
    from toril.engine.hooks import HookEvent
    from toril.engine.info import AttemptInfo, JobInfo, QueueInfo, WorkerInfo
    from toril.engine.middleware import Call
    from toril.engine.migration import QueueMove
    from toril.engine.node import Node, chain, group
    from toril.engine.options import JobOptions, KeepPolicy, Priority, RateLimit, RetryPolicy
    from toril.engine.outcomes import Cancel, Fail, Outcome, Retry, Snooze, WaitForChildren
    from toril.engine.profiles import Profile
    from toril.engine.queue import Page, Queue
    from toril.engine.runners.interpreter import freeze_support
    from toril.engine.runners.processes import ProcessOptions
    from toril.engine.states import State
    from toril.engine.worker import Worker, WorkerOptions
    from toril.settings import Settings
    from toril.tasks.bundle import TaskBundle
    from toril.tasks.inject import provided
    from toril.tasks.parameters import WholePayload
    from toril.tasks.task import Task

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
    "Deduplication",
    "EventName",
    "EventRecord",
    "Fail",
    "Flow",
    "FlowNode",
    "FlowProgress",
    "Flows",
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
    "MigrationError",
    "MissingExtraError",
    "Node",
    "Outcome",
    "Page",
    "PayloadTooLargeError",
    "Priority",
    "ProcessDiedError",
    "ProcessOptions",
    "Profile",
    "Queue",
    "QueueInfo",
    "QueueMove",
    "RateLimit",
    "RawText",
    "ResultTimeoutError",
    "Retry",
    "RetryPolicy",
    "Settings",
    "Snooze",
    "State",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreDeniedError",
    "StoreForeignError",
    "StoreFullError",
    "StoreLostError",
    "StoreReadOnlyError",
    "StoreUnreachableError",
    "StuckFlow",
    "Task",
    "TaskBundle",
    "TorilError",
    "UnknownTaskError",
    "WaitForChildren",
    "WholePayload",
    "Worker",
    "WorkerInfo",
    "WorkerOptions",
    "WrongStateError",
    "__version__",
    "chain",
    "freeze_support",
    "group",
    "provided",
]

_HOMES = {
    "toril.app": ("App",),
    "toril.core.errors": (
        "AttemptError",
        "AttemptTimeoutError",
        "BackendClosedError",
        "BackendError",
        "InvalidOptionError",
        "InvalidPayloadError",
        "InvalidSettingError",
        "JobError",
        "JobFailedError",
        "JobNotFoundError",
        "LeaseLostError",
        "MigrationError",
        "MissingExtraError",
        "PayloadTooLargeError",
        "ProcessDiedError",
        "ResultTimeoutError",
        "StoreBusyError",
        "StoreCorruptError",
        "StoreDeniedError",
        "StoreForeignError",
        "StoreFullError",
        "StoreLostError",
        "StoreReadOnlyError",
        "StoreUnreachableError",
        "TorilError",
        "UnknownTaskError",
        "WrongStateError",
    ),
    "toril.core.reading": ("RawText",),
    "toril.engine.context": ("Context",),
    "toril.engine.deduplication": ("Deduplication",),
    "toril.engine.events": (
        "EventName",
        "EventRecord",
    ),
    "toril.engine.flow_stuck": ("StuckFlow",),
    "toril.engine.flow_tree": ("FlowNode", "FlowProgress"),
    "toril.engine.flows": ("Flow", "Flows"),
    "toril.engine.handle": ("Job",),
    "toril.engine.hooks": ("HookEvent",),
    "toril.engine.info": (
        "AttemptInfo",
        "JobInfo",
        "QueueInfo",
        "WorkerInfo",
    ),
    "toril.engine.middleware": ("Call",),
    "toril.engine.migration": ("QueueMove",),
    "toril.engine.node": ("Node", "chain", "group"),
    "toril.engine.options": (
        "JobOptions",
        "KeepPolicy",
        "Priority",
        "RateLimit",
        "RetryPolicy",
    ),
    "toril.engine.outcomes": (
        "Cancel",
        "Fail",
        "Outcome",
        "Retry",
        "Snooze",
        "WaitForChildren",
    ),
    "toril.engine.profiles": ("Profile",),
    "toril.engine.queue": (
        "Page",
        "Queue",
    ),
    "toril.engine.runners.interpreter": ("freeze_support",),
    "toril.engine.runners.processes": ("ProcessOptions",),
    "toril.engine.states": ("State",),
    "toril.engine.worker": (
        "Worker",
        "WorkerOptions",
    ),
    "toril.settings": ("Settings",),
    "toril.tasks.bundle": ("TaskBundle",),
    "toril.tasks.inject": ("provided",),
    "toril.tasks.parameters": ("WholePayload",),
    "toril.tasks.task": ("Task",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module 'toril' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
