"""Bindings: a task runs the jobs of a queue that it was not written for, by an adapter.

```python
def from_chat(to: str, subject: str, body: str) -> dict[str, Any]:
    return send.arguments_of(to=[to], subject=subject, html=body)

app.bind("email", send, names="send-email", adapter=from_chat)
```

A binding is a task of its own to everything else in the library: to workers, to queues by name, to
servers, schedules and flows. Only its payloads and results are other ones (`adapters.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.reading import read
from toril.engine.drafts import options_of
from toril.engine.job import Claimed, NewJob
from toril.engine.new_jobs import Blueprint
from toril.engine.options import JobOptions, RateLimit, RetryPolicy
from toril.engine.runners.references import reference
from toril.engine.worker_options import require_concurrency
from toril.tasks.adapters import Adapter, Forms, ResultAdapter, StoredJob
from toril.tasks.sealing import Seals, check_paths
from toril.tasks.signature import Rename
from toril.tasks.task import Task

ANY = "*"
"""What a binding of any name is called in listings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a binding says; see `App.bind`."""

    queue: str
    task: Task[Any, Any]
    names: tuple[str, ...] | None = None
    adapter: Adapter | Task[Any, Any] | Sequence[Adapter | Task[Any, Any]] | None = None
    result: Callable[..., Any] | None = None
    options: JobOptions | None = None
    rate: RateLimit | None = None
    concurrency: int | None = None
    rename: Rename = None
    sealed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.concurrency is not None:
            require_concurrency(self.concurrency)
        good = self.rate is None or isinstance(self.rate, RateLimit)
        require(good, "rate", self.rate, "a RateLimit, or None")
        good = self.options is None or isinstance(self.options, JobOptions)
        require(good, "options", self.options, "JobOptions, or None")
        if self.options is not None:
            _refuse_own(self.options)
        good = self.names is None or (
            len(self.names) > 0 and all(isinstance(name, str) for name in self.names)
        )
        require(good, "names", self.names, "names of jobs, or None for any name")
        require(isinstance(self.task, Task), "task", self.task, "a task, as @app.task makes it")
        if self.task.seals is not None and self.sealed is None:
            raise InvalidOptionError(
                f"sealed=None: task {self.task.name!r} has sealed fields, and this payload may have"
                " them elsewhere: name the fields of the payload that are sealed, or () for none"
            )

    def tasks(self) -> list[BoundTask]:
        """Return the task for each name.

        Raises:
            InvalidOptionError: The binding makes no sense; the message says why.
        """
        return [BoundTask(self, name) for name in self.names or (ANY,)]


def binding_of(
    queue: str,
    task: Task[Any, Any],
    *,
    names: str | Sequence[str] | None,
    sealed: Sequence[str] | None,
    **others: Any,
) -> Binding:
    """Return what a call of `bind` says; parameters and errors as there."""
    if isinstance(names, str):
        names = (names,)
    return Binding(
        queue=queue,
        task=task,
        names=None if names is None else tuple(dict.fromkeys(names)),
        sealed=sealed if sealed is None or isinstance(sealed, str) else tuple(sealed),  # type: ignore[arg-type]
        **others,
    )


class BoundTask(Task[..., Any]):
    """A task as it runs the jobs of one queue and name. `enqueue` takes the payload's fields."""

    def __init__(self, binding: Binding, name: str) -> None:
        """Bind a task.

        Raises:
            InvalidOptionError: The binding makes no sense.
        """
        task = binding.task
        self.__dict__.update(task.__dict__)
        self.__dict__.pop("_blueprint", None)
        self.task = task
        """The task that is bound."""
        self.rate = binding.rate
        self.concurrency = binding.concurrency
        self._any = binding.names is None
        self._job_options = binding.options or JobOptions()
        self.options = replace(
            task.options,
            name=name,
            queue=binding.queue,
            any_name=self._any,
            retry=_retry(task.options.retry, self._job_options),
            keep_completed=self._job_options.keep_completed or task.options.keep_completed,
            keep_failed=self._job_options.keep_failed or task.options.keep_failed,
            sealed=binding.sealed or (),
        )
        for option in ("retry", "keep_completed", "keep_failed"):  # cached by the task
            self.__dict__.pop(option, None)
        self.forms = Forms(task, binding.adapter, binding.rename)
        self.signature = self.forms  # type: ignore[assignment]
        self.arguments = self.forms.read
        self._adapt = None if binding.result is None else ResultAdapter(task, binding.result)
        if self._adapt is not None:
            self._result = self._adapt.kind
            self.encode = self._result.encode
        self.seals = None
        if binding.sealed:
            self._use_seals(Seals(name, check_paths(name, binding.sealed, None), lambda: ()))

    def __repr__(self) -> str:
        return f"{self.task!r} bound to {self.options.queue!r}, {self.options.name!r}"

    @property
    def binding(self) -> BoundTask:  # type: ignore[override]
        """This: what a worker asks for payload and result."""
        return self

    def target(self) -> str:
        """Return where a child process finds the task."""
        return reference(self.task)

    def payload_of(self, claimed: Claimed) -> str:
        """Return the task's own payload for a job, as JSON text.

        Raises:
            InvalidPayloadError: No form fits, or the adapter refused the payload.
        """
        data = self._opened(claimed)
        form, arguments = self.forms.choose(data)
        if form.function is None:
            return data
        return form.payload(arguments, lambda: _stored(claimed, data))

    def read_payload(self, text: str) -> dict[str, Any]:
        """Return the function's arguments from what `payload_of` returned."""
        return self.task.signature.read(text)

    def result_of(self, result: object, claimed: Claimed) -> object:
        """Return the result of a job from the task's own.

        Raises:
            Fail: The binding's function for it raised.
        """
        if self._adapt is None:
            return result
        return self._adapt.result(result, lambda: _stored(claimed, self._opened(claimed)))

    def _opened(self, claimed: Claimed) -> str:
        return claimed.data if self.seals is None else self.seals.open(claimed.data)

    def merged(self, options: JobOptions | None) -> JobOptions:
        """Return options of a job with the binding's where the caller gives none."""
        if options is None:
            return self._job_options
        none = JobOptions()
        given = {name: getattr(options, name) for name in _OPTION_NAMES}
        changes = {name: value for name, value in given.items() if value != getattr(none, name)}
        if "run_at" in changes and "delay_s" not in changes:
            changes["delay_s"] = 0.0
        elif "delay_s" in changes:
            changes["run_at"] = None
        return replace(self._job_options, **changes)

    def job_named(self, name: str, payload: str, options: JobOptions | None = None) -> NewJob:
        """Return a job by one of the binding's names, checked as `enqueue` checks a call.

        Parameters:
            name: Its name.
            payload: JSON text.
            options: What the caller says; the rest is the binding's.

        Raises:
            InvalidPayloadError: No form of the payload fits.
        """
        self.forms.check_text(payload)
        return self._blueprint_of(name, self.merged(options)).job(payload)

    def admit(self, job: NewJob) -> NewJob:
        """Return a job that was made by name, once it is checked, with the binding's options.

        Raises:
            InvalidPayloadError: No form of the payload fits.
        """
        text = job.data if self.seals is None else self.seals.open(job.data)
        return self.job_named(job.name, text, options_of(job))

    def job_of(self, data: str) -> NewJob:
        """Return a job of a payload from elsewhere, checked as `enqueue` checks a call."""
        self.forms.check_text(data if self.seals is None else self.seals.open(data))
        return self._blueprint.job(data)

    @cached_property
    def _blueprint(self) -> Blueprint:
        # A job of any name has to have one.
        name = self.task.name if self._any else self.options.name
        return self._blueprint_of(name, self._job_options)

    def _blueprint_of(self, name: str, options: JobOptions) -> Blueprint:
        return Blueprint(
            self.queue,
            name,
            options,
            self.options.retry,
            max_payload_bytes=self.options.max_payload_bytes,
            seal=None if self.seals is None else self.seals.seal,
        )


def _refuse_own(options: JobOptions) -> None:
    """Refuse options that concern one job."""
    for name in ("job_id", "deduplication", "run_at"):
        value = getattr(options, name)
        require(value is None, f"options.{name}", value, "None: each job has its own")


_OPTION_NAMES = tuple(JobOptions.__dataclass_fields__)


def _retry(own: RetryPolicy, options: JobOptions) -> RetryPolicy:
    """Return the task's retries with what a binding says of them."""
    return replace(
        own,
        max_attempts=options.max_attempts or own.max_attempts,
        backoff=options.backoff or own.backoff,
        base_s=own.base_s if options.backoff_s is None else options.backoff_s,
        jitter_ratio=own.jitter_ratio if options.jitter_ratio is None else options.jitter_ratio,
    )


def _stored(claimed: Claimed, data: str) -> StoredJob:
    options = read(claimed.opts)
    return StoredJob(
        queue=claimed.queue,
        name=claimed.name,
        id=claimed.id,
        attempt=claimed.attempts_made + 1,
        created_at_ms=claimed.timestamp_ms,
        options=options if isinstance(options, dict) else {},
        data=read(data),
    )
