"""Lets a worker run only so many jobs of a kind at once, where one queue holds many kinds.

```python
app.middleware(TypeLimits.of("DATA_EXPORT:1,FILE_PROCESS:2"))
```

A job above the limit is put off and uses up no attempt: its slot is free for jobs of other kinds,
and long jobs do not fill all of a worker's slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.engine.context import Context
from toril.engine.middleware import Call
from toril.engine.outcomes import Snooze

PUT_OFF_S = 1.0
"""For how long a job is put off, in seconds."""


class TypeLimits:
    """Middleware that counts the running jobs of some names, in each worker process."""

    def __init__(self, limits: Mapping[str, int], *, put_off_s: float = PUT_OFF_S) -> None:
        """Set the limits.

        Parameters:
            limits: By the name of a job: how many run at once. Other names have no limit.
            put_off_s: For how long a job above its limit is put off, in seconds.

        Raises:
            InvalidOptionError: One of them makes no sense.
        """
        for name, limit in limits.items():
            good = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
            require(good, f"limits[{name!r}]", limit, "an integer from 1")
        require(put_off_s > 0, "put_off_s", put_off_s, "seconds, above 0")
        self._limits = dict(limits)
        self._put_off_s = put_off_s
        self._running: Counter[str] = Counter()

    @classmethod
    def of(cls, text: str) -> TypeLimits:
        """Return the limits that a text says: `DATA_EXPORT:1,FILE_PROCESS:2`. Empty: none.

        Raises:
            InvalidOptionError: It says none.
        """
        limits: dict[str, int] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            name, _, count = entry.rpartition(":")  # older names have a colon themselves
            good = bool(name) and count.isascii() and count.isdecimal() and int(count) >= 1
            require(good, "type limits", entry, "NAME:COUNT, such as DATA_EXPORT:1")
            limits[name] = int(count)
        return cls(limits)

    @classmethod
    def from_environment(cls, variable: str, environ: Mapping[str, str]) -> TypeLimits | None:
        """Return the limits that a variable says, as `of` reads it; None if it says none.

        Raises:
            InvalidSettingError: They make no sense.
        """
        text = environ.get(variable, "").strip()
        try:
            return cls.of(text) if text else None
        except InvalidOptionError as error:
            raise InvalidSettingError(f"{variable}: {error}") from None

    async def __call__(self, context: Context, call: Call) -> Any:
        """Run an attempt, or put it off."""
        name = context.task
        limit = self._limits.get(name)
        if limit is None:
            return await call()
        if self._running[name] >= limit:
            raise Snooze(after_s=self._put_off_s)
        self._running[name] += 1
        try:
            return await call()
        finally:
            self._running[name] -= 1
