"""How often a caller of an application's own routes may do something."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Mapping

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.web.own_routes import Refusal

MAX_CALLERS = 10_000
"""How many callers a pace remembers; the one that came longest ago is forgotten first."""


class CallerPace:
    """So many acts of a caller in any window of time, in this process."""

    def __init__(self, limit: int, window_s: float = 60.0) -> None:
        """Set the pace.

        Parameters:
            limit: How many.
            window_s: In how many seconds.

        Raises:
            InvalidOptionError: One of them makes no sense.
        """
        require(limit >= 1, "limit", limit, "an integer from 1")
        require(window_s > 0, "window_s", window_s, "seconds, above 0")
        self._limit = limit
        self._window_s = window_s
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    @classmethod
    def of(cls, text: str) -> CallerPace:
        """Return the pace that a text says: `60/min`, `5/s`, `1000/h`.

        Raises:
            InvalidOptionError: It says none.
        """
        count, _, unit = text.strip().partition("/")
        window_s = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}.get(unit.strip())
        good = count.strip().isdecimal() and int(count) >= 1 and window_s is not None
        require(good, "pace", text, "a count and a unit, such as 60/min, 5/s or 1000/h")
        return cls(int(count), window_s or 1.0)

    @classmethod
    def from_environment(
        cls, variable: str, environ: Mapping[str, str], *, default: str
    ) -> CallerPace:
        """Return the pace that a variable says, as `of` reads it.

        Raises:
            InvalidSettingError: It says none.
        """
        text = environ.get(variable, "").strip() or default
        try:
            return cls.of(text)
        except InvalidOptionError as error:
            raise InvalidSettingError(f"{variable}: {error}") from None

    def take(self, caller: str) -> None:
        """Count an act.

        Raises:
            Refusal: It is one too many; `Retry-After` says when to come back.
        """
        now_s = time.monotonic()
        taken = self._taken.setdefault(caller, deque())
        self._taken.move_to_end(caller)
        while len(self._taken) > MAX_CALLERS:
            self._taken.popitem(last=False)
        while taken and taken[0] <= now_s - self._window_s:
            taken.popleft()
        if len(taken) >= self._limit:
            wait_s = math.ceil(taken[0] + self._window_s - now_s)
            raise Refusal(
                429,
                "too_many_requests",
                f"over {self._limit} in {self._window_s:g} s: come back in {wait_s} s",
                headers={"Retry-After": str(max(1, wait_s))},
            )
        taken.append(now_s)
