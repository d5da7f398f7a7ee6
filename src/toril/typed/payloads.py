"""What a class says of its payload and result, and the task that is made of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from toril.core.errors import InvalidOptionError
from toril.engine.options import RetryPolicy
from toril.tasks.options import TaskOptions
from toril.tasks.parameters import Whole
from toril.tasks.task import Task
from toril.typed.spec import QueueSpec


def types_of(owner: type, base: type) -> tuple[Any, Any]:
    """Return the payload and the result of a class such as `Mailer(Producer[Mail, Sent])`.

    Parameters:
        owner: The class.
        base: What it is a kind of, itself or by a kind of that.

    Raises:
        InvalidOptionError: It does not say them.
    """
    for one in getattr(owner, "__orig_bases__", ()):
        origin = get_origin(one)
        if isinstance(origin, type) and issubclass(origin, base):
            payload, result = get_args(one)
            if not isinstance(payload, TypeVar) and not isinstance(result, TypeVar):
                return payload, result
    raise InvalidOptionError(
        f"class {owner.__qualname__}: expected the types of its payload and its result, as in"
        f" {base.__name__}[Payload, Result]"
    )


def typed_task(
    spec: QueueSpec,
    function: Callable[..., Any],
    owner: type,
    hints: dict[str, Any],
    *,
    run_in: Literal["loop", "thread", "process"] | None = None,
) -> Task[Any, Any]:
    """Return a task of a queue.

    Parameters:
        spec: The queue.
        function: Takes the payload as `payload`.
        owner: The class whose function it is: what errors name.
        hints: The types of its parameters, and of what it returns. That of the payload is the
            payload's own.
        run_in: Where it runs. None: coroutines on the loop, others in threads.
    """
    kind = hints["payload"]
    function.__annotations__ = {**hints, "payload": Annotated[kind, Whole()]}
    function.__module__, function.__qualname__ = owner.__module__, owner.__qualname__
    function.__name__ = owner.__name__
    return Task(
        function,
        TaskOptions(
            name=spec.job_name,
            queue=spec.name,
            run_in=run_in or ("loop" if inspect.iscoroutinefunction(function) else "thread"),
            retry=RetryPolicy(),
            timeout_s=spec.timeout_s,
            profile=spec.profile,
        ),
    )
