"""What the engine asks of a task, and of the register of tasks. `tasks/` fulfils both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from toril.engine.job import Claimed, NewJob
from toril.engine.life_cycle import InChildren
from toril.engine.options import JobOptions, KeepPolicy, RetryPolicy, RunIn


class SealedFields(Protocol):
    """The sealed fields of a task. Payloads are JSON text, as they are stored."""

    def open(self, text: str) -> str:
        """Return a payload with its fields opened.

        Raises:
            SealedFieldError: No key here opens one.
        """
        ...

    def seal(self, text: str) -> str:
        """Return a payload with its fields sealed."""
        ...

    def seal_result(self, text: str, payload: str) -> str:
        """Return a result without anything that the payload has sealed."""
        ...

    def scrub(self, text: str, payload: str) -> str:
        """Return a text without the values that the payload has sealed."""
        ...


class Bound(Protocol):
    """What joins jobs of another payload to a task."""

    def payload_of(self, claimed: Claimed) -> str:
        """Return the task's own payload for a job, as JSON text.

        Raises:
            InvalidPayloadError: The job's payload is none that the binding takes.
        """
        ...

    def read_payload(self, text: str) -> dict[str, Any]:
        """Return the function's keyword arguments from what `payload_of` returned."""
        ...

    def result_of(self, result: object, claimed: Claimed) -> object:
        """Return the result of a job from what the task returned.

        Raises:
            Fail: It cannot be made of it.
        """
        ...

    def job_named(self, name: str, payload: str, options: JobOptions | None = None) -> NewJob:
        """Return a new job of this name, checked, with the binding's options below the caller's.

        Raises:
            InvalidPayloadError: The payload does not fit, or has fields that it should not.
        """
        ...

    def admit(self, job: NewJob) -> NewJob:
        """Return a job that was made by name, checked, with the binding's options below its own.

        Raises:
            InvalidPayloadError: As `job_named`.
        """
        ...


class Handler(Protocol):
    """A task, as the executor sees it."""

    @property
    def name(self) -> str:
        """Its name on the wire."""
        ...

    @property
    def queue(self) -> str:
        """Its queue."""
        ...

    @property
    def store(self) -> object:
        """Where its app's jobs live: a URL or a client. None: not known."""
        ...

    @property
    def run_in(self) -> RunIn:
        """Where it runs."""
        ...

    @property
    def function(self) -> Callable[..., Any]:
        """The task's own function; with `run_in="loop"` it gives an awaitable."""
        ...

    @property
    def called(self) -> Callable[..., Any]:
        """What a worker calls: `function`, or what its app has put around it."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """Longest attempt, in seconds."""
        ...

    @property
    def retry(self) -> RetryPolicy:
        """When a failed attempt is tried again."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """Largest payload as JSON."""
        ...

    @property
    def keep_completed(self) -> KeepPolicy:
        """What happens to completed jobs that do not say."""
        ...

    @property
    def keep_failed(self) -> KeepPolicy:
        """What happens to failed jobs that do not say."""
        ...

    @property
    def dead_letter(self) -> str | None:
        """The queue in which failures leave letters. None: the rule of their own queue counts."""
        ...

    @property
    def seals(self) -> SealedFields | None:
        """What seals its fields. None: none is sealed."""
        ...

    @property
    def binding(self) -> Bound | None:
        """What adapts its jobs to the task. None: they have the task's own payload."""
        ...

    def arguments(self, data: str) -> dict[str, Any]:
        """Return the function's keyword arguments from a stored payload.

        Raises:
            InvalidPayloadError: The payload does not fit.
        """
        ...

    def job_of(self, data: str) -> NewJob:
        """Return a new job of a payload (JSON text), checked as when the task itself is enqueued.

        Raises:
            InvalidPayloadError: The payload does not fit, or has fields that the task does not.
        """
        ...

    @property
    def context_name(self) -> str | None:
        """The parameter that takes the `Context`; None: the task wants none."""
        ...

    @property
    def provided_names(self) -> Mapping[str, type]:
        """Parameters that the app provides, by type."""
        ...

    def encode(self, result: object, *, replaced: bool = False) -> str:
        """Return a result as JSON text.

        Parameters:
            result: What the task returned.
            replaced: It is what middleware returned in its place, and may be of any type.

        Raises:
            ValueError, TypeError: It is not JSON, or too large, or would not come back as it is.
        """
        ...

    def decode(self, text: str) -> Any:
        """Return a result from its JSON text, in the type that the task says.

        Raises:
            InvalidPayloadError: It is of another.
        """
        ...

    def target(self) -> str:
        """Return where a child process finds this task: `module:qualname`.

        Raises:
            InvalidOptionError: It cannot be found there.
        """
        ...


class Handlers(Protocol):
    """The register of tasks."""

    def find(self, queue: str, name: str) -> Handler | None:
        """Return the task for a job of this name on this queue, or None."""
        ...

    def named(self, name: str, queue: str | None = None) -> Handler | None:
        """Return the task of this name, on whatever queue if none is given, or None."""
        ...

    def names(self, queue: str) -> list[str]:
        """Return the names of the jobs of a queue that there are tasks for.

        With `ANY_NAME` among them if a task of the queue takes jobs of any name.
        """
        ...

    def is_closed(self, queue: str) -> bool:
        """Whether jobs of other names fail at once: all of a queue's are bound by name."""
        ...

    def door(self, queue: str, name: str) -> Bound | None:
        """Return what checks new jobs of this name, or None.

        Raises:
            InvalidOptionError: The queue is closed, and has no such name.
        """
        ...

    def provide(self, kind: type) -> object:
        """Return the value that the app provides for a type.

        Raises:
            InvalidOptionError: It provides none.
        """
        ...

    def provided_for_children(self) -> bytes:
        """Return everything provided, pickled for child processes."""
        ...

    def life_cycle_for_children(self) -> InChildren | None:
        """Return where child processes find what the app starts; None if that is nothing.

        Raises:
            InvalidOptionError: They cannot find it.
        """
        ...
