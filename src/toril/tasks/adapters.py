"""Adapters: functions that make a task's arguments of another payload, one for each form of it.

The parameters of an adapter are the fields of the payload, as those of a task are. At the door
unknown fields are refused; in the store they are ignored, as producers elsewhere may send more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, get_args, get_type_hints

from toril.core.clock import moment
from toril.core.errors import InvalidOptionError, InvalidPayloadError, TorilError
from toril.engine.judging import describe
from toril.engine.outcomes import Fail, Outcome
from toril.engine.task_results import Encoded
from toril.tasks.parameters import read_parameters
from toril.tasks.results import ResultType
from toril.tasks.signature import Rename, Signature
from toril.tasks.task import Task

T = TypeVar("T")

Adapter = Callable[..., Any]
"""Takes the fields of a payload, and a `StoredJob` if it asks for one. Returns the arguments of the
task by name; or, if the task takes its payload whole, that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """What an adapter may know of the job beside its payload: a parameter of this type gets it."""

    queue: str
    """Its queue."""
    name: str
    """Its name on the wire. A binding may have several."""
    id: str
    """Its id."""
    attempt: int
    """Which attempt this is, from 1."""
    created_at_ms: int
    """When it was added, in milliseconds since 1970."""
    options: Mapping[str, Any]
    """Its options as they are stored, with BullMQ's names and milliseconds."""
    data: Any
    """Its payload as it is stored, with fields that the form does not know."""

    @property
    def created_at(self) -> datetime:
        """When it was added, in UTC."""
        return moment(self.created_at_ms)


class Form:
    """One form of a payload, and the adapter that makes the task's arguments of it."""

    def __init__(self, task: Task[Any, Any], given: Adapter | Task[Any, Any], rename: Rename):
        """Read an adapter's parameters. The task itself stands for its own payload.

        Raises:
            InvalidOptionError: It can be no adapter; the message says why.
        """
        self.task = task
        self.function: Adapter | None = None
        self._wants_job: str | None = None
        if isinstance(given, Task):
            if given.function is not task.function:
                raise InvalidOptionError(
                    f"adapter={given!r}: expected a function, or the task that is bound, for its"
                    " own payload"
                )
            self.name, self.signature = task.name, task.signature
            return
        if not callable(given):
            raise InvalidOptionError(
                f"adapter={given!r}: expected a function, or several in a list"
            )
        self.function = given
        self.name = getattr(given, "__name__", repr(given))
        parameters = read_parameters(f"{task.name}, adapter {self.name}", given)
        if parameters.context is not None or parameters.provided:
            raise InvalidOptionError(
                f"adapter {self.name!r}: expected fields of the payload, and a StoredJob: it runs"
                " before the task and has neither a Context nor what the app provides"
            )
        for one in [*parameters.fields]:
            if one.annotation is StoredJob or StoredJob in get_args(one.annotation):
                self._wants_job = one.name
                parameters.fields.remove(one)
        self.signature = Signature(task.name, parameters, rename)
        self.signature.expect(task.signature)  # what a task keeps in its payload

    def check_text(self, text: str) -> None:
        """Refuse a payload that does not fit, or has unknown fields, or that the adapter refuses.

        An adapter that asks for the `StoredJob` is called once there is one, in the worker.

        Raises:
            InvalidPayloadError: The message names the field.
        """
        self.signature.check_text(text)
        if self.function is not None and self._wants_job is None:
            self.payload(self.signature.read(text), None)

    def payload(self, arguments: dict[str, Any], stored: Callable[[], StoredJob] | None) -> str:
        """Return the task's own payload, as JSON text.

        Parameters:
            arguments: Of the adapter.
            stored: Returns the job.

        Raises:
            InvalidPayloadError: The adapter refuses the payload by a ValueError, or what it
                returned does not fit the task.
        """
        function, task = self.function, self.task
        assert function is not None  # noqa: S101 - asked for by those who have one
        if self._wants_job is not None and stored is not None:
            arguments[self._wants_job] = stored()
        try:
            made = function(**arguments)
        except TorilError:
            raise
        except ValueError as error:
            raise InvalidPayloadError(
                task.name, "(payload)", f"{error} (said by the adapter {self.name!r})"
            ) from error
        if task.parameters.whole is not None:
            made = {task.parameters.whole.name: made}
        elif not isinstance(made, Mapping):
            raise InvalidPayloadError(
                task.name,
                "(payload)",
                f"the adapter {self.name!r} returned {type(made).__name__}: expected the task's"
                f" arguments by name, such as {task.name}.arguments_of(...)",
            )
        try:
            return task.signature.check(made)
        except InvalidPayloadError as error:
            payload = getattr(function, "copies", None)
            if payload is not None:  # the fields are the payload's own: it is they that are wrong
                field = f"{payload}.{error.field}"
                raise type(error)(error.task, field, error.problem) from error
            problem = f"{error.problem} (made by the adapter {self.name!r})"
            raise type(error)(error.task, error.field, problem) from error

    def __str__(self) -> str:
        return f"{self.name}({self.signature.described()})"


class Forms:
    """All forms of a binding's payload. To a task it is what a `Signature` is."""

    def __init__(
        self,
        task: Task[Any, Any],
        adapter: Adapter | Task[Any, Any] | Sequence[Adapter | Task[Any, Any]] | None,
        rename: Rename,
    ) -> None:
        """Read the adapters.

        Raises:
            InvalidOptionError: One of them can be none.
        """
        given: Sequence[Any]
        if adapter is None:
            given = [task]
        elif isinstance(adapter, list | tuple):
            given = adapter
        else:
            given = [adapter]
        if not given:
            raise InvalidOptionError("adapter=[]: expected at least one, or None")
        self._task = task
        self.forms = [Form(task, one, rename) for one in given]
        self._only = self.forms[0] if len(self.forms) == 1 else None

    @property
    def reports(self) -> bool:
        """Whether the log tells of unknown fields."""
        return all(form.signature.reports for form in self.forms)

    @reports.setter
    def reports(self, reports: bool) -> None:
        for form in self.forms:
            form.signature.reports = reports

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of all forms, as `bind` takes them."""
        return tuple(dict.fromkeys(name for form in self.forms for name in form.signature.fields))

    @property
    def fields_to_name(self) -> tuple[str, ...] | None:
        """None: a field of the payload may be any."""
        return None

    def bind(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str:
        """Return the payload of a call, as JSON text.

        Raises:
            InvalidPayloadError: No form fits.
        """
        return self._first(lambda form: form.signature.bind(arguments, dict(keywords)))

    def check(self, keywords: Mapping[str, Any]) -> str:
        """Return the payload of named values, as JSON text; errors as `bind`."""
        return self._first(lambda form: form.signature.check(keywords))

    def check_text(self, text: str) -> None:
        """Refuse the JSON text of a payload that fits no form, or has unknown fields.

        Raises:
            InvalidPayloadError: The message names the forms, and why each does not fit.
        """
        self._first(lambda form: form.check_text(text))

    def read(self, text: str) -> dict[str, Any]:
        """Return the adapter's arguments from a stored payload; errors as `choose`."""
        return self.choose(text)[1]

    def choose(self, text: str) -> tuple[Form, dict[str, Any]]:
        """Return the form of a stored payload, and its adapter's arguments.

        The first form that has a place for every field; else the first that fits at all.

        Raises:
            InvalidPayloadError: None fits.
        """
        if self._only is not None:
            return self._only, self._only.signature.read(text)
        for form in self.forms:
            try:
                form.signature.check_text(text)
                return form, form.signature.read(text)
            except InvalidPayloadError:
                continue
        return self._first(lambda form: (form, form.signature.read(text)))

    def _first(self, use: Callable[[Form], T]) -> T:
        """Return what the first form gives that fits.

        Raises:
            InvalidPayloadError: None does.
        """
        if self._only is not None:
            return use(self._only)
        problems = []
        for form in self.forms:
            try:
                return use(form)
            except InvalidPayloadError as error:
                problems.append(f"{form}: field {error.field!r}: {error.problem}")
        raise InvalidPayloadError(
            self._task.name,
            "(payload)",
            f"it has none of the {len(self.forms)} forms that are expected: {'; '.join(problems)}",
        )


class ResultAdapter:
    """Makes the result of a job of the task's own: other producers expect other keys."""

    def __init__(self, task: Task[Any, Any], function: Callable[..., Any]) -> None:
        """Read what the function takes, and says that it returns.

        Raises:
            InvalidOptionError: It is no function, or JSON cannot carry what it returns.
        """
        try:
            hints = get_type_hints(function)
        except (TypeError, NameError) as error:
            raise InvalidOptionError(
                f"result={function!r}: expected a function of the task's result: {error}"
            ) from None
        self.task = task
        self.function = function
        self.name = getattr(function, "__name__", repr(function))
        self._wants_job = StoredJob in [kind for one, kind in hints.items() if one != "return"]
        kind = hints.get("return", Any)
        self.kind = ResultType(self.name, kind, task.options.max_result_bytes, "loop")
        """What it returns."""

    def result(self, result: object, stored: Callable[[], StoredJob]) -> object:
        """Return the result of a job from the task's own.

        Raises:
            Fail: The function raised. The work is done, so that no retry follows.
        """
        own = self.task.decode(str(result)) if type(result) is Encoded else result
        try:
            return self.function(own, stored()) if self._wants_job else self.function(own)
        except Outcome:
            raise
        except Exception as error:
            raise Fail(
                f"{self.task.name!r} has done its work, but {self.name!r}, which makes the result"
                f" of the job, failed: {describe(error)}"
            ) from error
