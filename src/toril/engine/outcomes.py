"""How a task ends its attempt when neither a returned value nor an error says it.

These are raised by tasks and are not errors: they do not derive from `TorilError`, so a task's own
`except TorilError` cannot eat them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from toril.core.checks import require
from toril.core.durations import seconds


class Outcome(Exception):  # noqa: N818 - an outcome, not an error
    """The root of the outcomes that a task may raise."""


class Retry(Outcome):
    """Try again after `after_s` seconds. Counts as an attempt; fails when none is left."""

    def __init__(
        self, reason: str = "the task asked for another try", *, after_s: float | timedelta = 0
    ) -> None:
        self.after_s = seconds(after_s, "after_s")
        self.reason = reason
        super().__init__(reason)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, {"after_s": self.after_s})


class Snooze(Outcome):
    """Run later, without counting an attempt: after `after_s` seconds, or at `until` (aware)."""

    def __init__(
        self, *, after_s: float | timedelta | None = None, until: datetime | None = None
    ) -> None:
        require((after_s is None) != (until is None), "until", until, "one of after_s and until")
        self.after_s = None if after_s is None else seconds(after_s, "after_s")
        if until is not None:
            require(until.utcoffset() is not None, "until", until, "an aware datetime")
        self.until = until
        super().__init__("snoozed")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), None, {"after_s": self.after_s, "until": self.until})


class WaitForChildren(Outcome):
    """End this attempt until the job's children have ended, without counting it.

    The job then runs again, from its beginning. `Context.wait_for_children` raises it if there is
    anything to wait for.
    """

    def __init__(self) -> None:
        super().__init__("waits for its children")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


class Cancel(Outcome):
    """Stop for good because the work is no longer wanted. Failed, with `reason`, no retry."""

    def __init__(self, reason: str = "cancelled by the task") -> None:
        self.reason = reason
        super().__init__(reason)


class Fail(Outcome):
    """Fail for good: another attempt would not help."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def _rebuild(kind: type[Outcome], reason: str | None, options: dict[str, object]) -> Outcome:
    return kind(**options) if reason is None else kind(reason, **options)
