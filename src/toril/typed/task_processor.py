"""Processors whose work is ready-made: a task of the library, or any other, runs the jobs."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.tasks.adapters import StoredJob
from toril.tasks.parameters import WholePayload
from toril.tasks.task import Task
from toril.typed.processor import Processor
from toril.typed.processor_job import ProcessorJob
from toril.typed.spec import QueueSpec

P = TypeVar("P")
R = TypeVar("R")


class TaskProcessor(Processor[P, R], Generic[P, R]):
    """Runs the jobs of a queue by a task.

    ```python
    class PdfProcessor(TaskProcessor[PdfPayload, MadePdf], spec=GENERATE_PDF, runs=pdf): ...
    ```

    The task runs where it says, as often and as long as it says, and gets what the app provides.
    Override `arguments` where its parameters have other names than the payload's fields, and
    `result` where the job's result is another than the task's. With `Any` for the payload, jobs
    carry the task's own.
    """

    runs: ClassVar[Task[..., Any]]
    """The task."""

    def __init_subclass__(
        cls, spec: QueueSpec | None = None, *, runs: Task[..., Any] | None = None, **others: Any
    ) -> None:
        """Read the queue, the types and the task of a class.

        Raises:
            InvalidOptionError: It names none of these.
        """
        super().__init_subclass__(spec, **others)
        if runs is None and (hasattr(cls, "runs") or not hasattr(cls, "spec")):
            return
        require(isinstance(runs, Task), "runs", runs, "a task, as @app.task makes it")
        assert runs is not None  # noqa: S101 - just checked
        if "run_in" in others:
            raise InvalidOptionError(
                f"class {cls.__qualname__}: run_in={others['run_in']!r}: the task says where it"
                f" runs: {runs.run_in}"
            )
        cls.runs = runs

    async def process(self, job: ProcessorJob[P]) -> R:
        """Never called: the task runs the jobs.

        Raises:
            InvalidOptionError: Always.
        """
        raise InvalidOptionError(f"{type(self).__qualname__} runs its jobs by {self.runs!r}")

    def arguments(self, payload: P) -> Any:
        """Return the task's arguments by name; or, if it takes its payload whole, that.

        A `ValueError` fails the job at once.
        """
        if self.runs.signature.fields_to_name is None:
            return msgspec.to_builtins(payload)
        names = getattr(payload, "__struct_fields__", None) or vars(payload)
        return {name: getattr(payload, name) for name in names}

    def result(self, payload: P, result: Any) -> Any:
        """Return the job's result from the task's."""
        return result

    def task(self) -> Task[Any, Any]:
        """Return the task that runs its jobs."""
        return self.runs

    def binding(self) -> dict[str, Any]:
        """Return what `App.bind` is told beside queue, names and options."""
        kind, made = self.payload_type, self.result_type

        def arguments(payload: Any) -> Any:
            return self.arguments(payload)

        def result(own: Any, job: StoredJob) -> Any:
            return self.result(msgspec.convert(job.data, kind), own)

        arguments.__annotations__ = {"payload": WholePayload[kind]}  # type: ignore[misc, valid-type, unused-ignore]
        result.__annotations__ = {"job": StoredJob, "return": made}
        adapts = type(self).result is not TaskProcessor.result
        return {
            "task": self.runs,
            "adapter": None if kind is Any else arguments,
            "result": result if adapts else None,
        }
