"""What other queues call the things that one does with an app or a task, and their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError

F = TypeVar("F", bound=Callable[..., Any])

_ENQUEUE = "`await task.enqueue(...)` adds a job, `task.enqueue_sync(...)` in plain code"
_OPTIONS = (
    "`await task.with_options(delay=60, priority=1).enqueue(...)` adds a job with options,"
    " `enqueue_sync` in plain code"
)
_FLOW = "`task.node(...)` is a job of a flow; `chain` and `group` put them together"
_HERE = "`task(...)` runs the function right here"
_LINE = "`toril worker MODULE:APP` runs one, `await app.worker().run()` does in a program"
_NAMED = '`await app.queue("mail").add("greet", {...})` adds a job of any name'
_TASK = "`@app.task` above a function makes a task of it"
_SCHEDULE = '`@app.schedule("0 6 * * *")` above a task, or `await app.schedules.put(...)`'

TASK_WORDS = {
    # Celery
    "delay": f"{_ENQUEUE}; to run it later: `task.with_options(delay=60).enqueue(...)`",
    "delay_on_commit": "`transaction.on_commit(lambda: task.enqueue_sync(...))` does that",
    "apply_async": _OPTIONS,
    "apply": _HERE,
    "s": _FLOW,
    "si": _FLOW,
    "signature": _FLOW,
    "subtask": _FLOW,
    "AsyncResult": "`app.queue(task.queue).job(job_id)` is a handle of a job",
    # Dramatiq, Huey, taskiq, Procrastinate, RQ
    "send": _ENQUEUE,
    "send_with_options": _OPTIONS,
    "schedule": "`await task.with_options(delay=60).enqueue(...)`, or `run_at=` a moment",
    "call_local": _HERE,
    "kiq": _ENQUEUE,
    "kicker": _OPTIONS,
    "defer": _ENQUEUE,
    "defer_async": _ENQUEUE,
    "configure": _OPTIONS,
    "map": "`await task.enqueue_many([{...}, ...])` adds many jobs in one transaction",
}

APP_WORDS = {
    "send_task": _NAMED,
    "enqueue": f"{_ENQUEUE}; {_NAMED}",
    "enqueue_job": f"{_ENQUEUE}; {_NAMED}",
    "actor": _TASK,
    "job": _TASK,
    "shared_task": "`@bundle.task` of a `TaskBundle` makes a task that apps include",
    "register_task": _TASK,
    "autodiscover_tasks": "import the modules that define tasks where the app is used by workers",
    "periodic_task": _SCHEDULE,
    "add_periodic_task": _SCHEDULE,
    "cron": _SCHEDULE,
    "conf": "options are arguments of `App(...)` and `@app.task(...)`, `toril.toml`, or `TORIL_…`",
    "config_from_object": "options are arguments of `App(...)`, `toril.toml`, or `TORIL_…`",
    "AsyncResult": '`app.queue("mail").job(job_id)` is a handle of a job',
    "worker_main": _LINE,
    "start": _LINE,
    "run": _LINE,
}

_RETRY = "retry=RetryPolicy(...)"
OPTION_WORDS = {
    "bind": "a parameter annotated `Context` gets the attempt's context",
    "base": "middleware runs code around attempts: @app.middleware",
    "max_retries": f"{_RETRY} with max_attempts, which counts the first one too",
    "max_tries": f"{_RETRY} with max_attempts",
    "retries": f"{_RETRY} with max_attempts, which counts the first one too",
    "default_retry_delay": f"{_RETRY} with base_s, in seconds",
    "retry_delay": f"{_RETRY} with base_s, in seconds",
    "retry_backoff": f"{_RETRY} with backoff, base_s and cap_s",
    "min_backoff": f"{_RETRY} with base_s, in seconds",
    "max_backoff": f"{_RETRY} with cap_s, in seconds",
    "retry_jitter": f"{_RETRY} with jitter_ratio",
    "autoretry_for": f"every error is retried; {_RETRY} with retry_on names some",
    "retry_for": f"every error is retried; {_RETRY} with retry_on names some",
    "retry_when": f"{_RETRY} with wait, a function",
    "throws": f"{_RETRY} with give_up_on",
    "time_limit": "timeout=60, in seconds",
    "soft_time_limit": "timeout=60, in seconds; a task sees its end in context.remaining_s",
    "job_timeout": "timeout=60, in seconds",
    "max_age": "timeout=60, in seconds, is for one attempt",
    "queue_name": "queue='mail'",
    "actor_name": "name='greet'",
    "task_name": "name='greet'",
    "priority": "a job's own: task.with_options(priority=1).enqueue(...)",
    "delay": "a job's own: task.with_options(delay=60).enqueue(...)",
    "rate_limit": "a queue's own: await app.queue('mail').set_rate(RateLimit(limit=10))",
    "ignore_result": "a task that returns None stores no result",
    "store_results": "results are stored",
    "result_ttl": "keep_completed=KeepPolicy(age_s=...)",
    "keep_result": "keep_completed=KeepPolicy(age_s=...)",
    "expires": "the task looks itself: context.created_at",
    "acks_late": "a job is always acknowledged when it has ended",
    "serializer": "payloads are JSON, by the types of the parameters",
}


_TASKS_OWN = "a task's own: @app.task({}), for all its jobs"
JOB_OPTION_WORDS = {
    "countdown": "delay=60, in seconds",
    "eta": "run_at=, a moment with a zone",
    "task_id": "job_id='order-17'",
    "max_retries": "max_attempts=4, which counts the first one too",
    "retries": "max_attempts=4, which counts the first one too",
    "queue": _TASKS_OWN.format("queue='mail'"),
    "retry": _TASKS_OWN.format("retry=RetryPolicy(...)"),
    "timeout": _TASKS_OWN.format("timeout=60"),
    "time_limit": _TASKS_OWN.format("timeout=60"),
    "expires": "the task looks itself: context.created_at",
    "args": "parameters go to enqueue(...), as the function has them",
    "kwargs": "parameters go to enqueue(...), as the function has them",
}


JOB_OPTIONS = frozenset(
    {"delay", "run_at", "priority", "job_id", "deduplication", "max_attempts", *JOB_OPTION_WORDS}
)
"""What may be meant as an option where a function's parameters are expected."""


def knows_job_options(function: F) -> F:
    """Make a function with keywords for the options of jobs answer those that it does not have."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @wraps(function)
    def answering(*args: Any, **options: Any) -> Any:
        for name in options.keys() - known:
            value = options[name]
            if name in JOB_OPTION_WORDS:
                raise InvalidOptionError(
                    f"{name}={value!r}: no option of a job: {JOB_OPTION_WORDS[name]}"
                )
            raise InvalidOptionError(unknown("option of a job", name, known))
        return function(*args, **options)

    return cast("F", answering)


def refuse_options(options: Mapping[str, Any], known: list[str]) -> NoReturn:
    """Refuse options that `@app.task` does not have; name ours.

    Raises:
        InvalidOptionError: Always.
    """
    foreign = [name for name in options if name in OPTION_WORDS]
    if foreign:
        raise InvalidOptionError(
            "; ".join(
                f"{name}={options[name]!r}: no option of a task: {OPTION_WORDS[name]}"
                for name in foreign
            )
        )
    raise InvalidOptionError(unknown("option of a task", next(iter(options)), known))


def refuse_function(given: object) -> NoReturn:
    """Refuse what stands where `@app.task` expects a function.

    Raises:
        InvalidOptionError: Always.
    """
    if isinstance(given, str):
        raise InvalidOptionError(
            f"task={given!r}: a name goes by its keyword: @app.task(name={given!r})"
        )
    raise InvalidOptionError(f"task={given!r}: expected a function")
