"""Options of one job as an application's own routes take them: with BullMQ's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.engine.options import JobOptions, KeepPolicy

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Backoff(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["fixed", "exponential"]
    delay: _Count


def read_options(
    options: Mapping[str, Any],
    *,
    most_urgent: int,
    priority: int,
    wire: Callable[[int], int],
) -> JobOptions:
    """Return options that have BullMQ's names.

    They are `priority`, `delay` in milliseconds, `attempts`, `jobId`, `removeOnComplete`,
    `removeOnFail` and `backoff`.

    Parameters:
        options: Of one job.
        most_urgent: Priorities are 1 to this.
        priority: Of a job that has none.
        wire: Makes a priority of the queue of one of these.

    Raises:
        InvalidOptionError: One is unknown, or makes no sense; the message names it as `options.…`
            and what would do.
    """
    keep = "true, false, or how many of the newest to keep"
    kinds: dict[str, tuple[Any, str]] = {
        "priority": (
            Annotated[int, msgspec.Meta(ge=1, le=most_urgent)],
            f"a whole number from 1 to {most_urgent}",
        ),
        "delay": (_Count, "milliseconds, a whole number from 0"),
        "attempts": (Annotated[int, msgspec.Meta(ge=1, le=10_000)], "a whole number from 1"),
        "jobId": (str, "a text"),
        "removeOnComplete": (bool | _Count, keep),
        "removeOnFail": (bool | _Count, keep),
        "backoff": (_Backoff, "{type: fixed or exponential, delay: milliseconds}"),
    }
    given: dict[str, Any] = {}
    for name, value in options.items():
        if name not in kinds:
            raise InvalidOptionError(f"options.{name}={value!r}: {unknown('option', name, kinds)}")
        kind, expected = kinds[name]
        try:
            given[name] = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise InvalidOptionError(f"options.{name}={value!r}: expected {expected}") from None
    backoff: _Backoff | None = given.get("backoff")
    try:
        return JobOptions(
            priority=wire(given.get("priority", priority)),
            delay_s=given.get("delay", 0) / 1000,
            max_attempts=given.get("attempts"),
            backoff=None if backoff is None else backoff.type,
            backoff_s=None if backoff is None else backoff.delay / 1000,
            job_id=given.get("jobId"),
            keep_completed=_kept(given.get("removeOnComplete")),
            keep_failed=_kept(given.get("removeOnFail")),
        )
    except InvalidOptionError as error:
        said = str(error).replace("job_id=", "options.jobId=", 1)
        raise InvalidOptionError(said) from None


def _kept(removed: bool | int | None) -> KeepPolicy | None:
    if removed is None:
        return None
    if removed is True:
        return KeepPolicy(count=0)
    return KeepPolicy(count=None if removed is False else removed)
