"""What a request may cost: the size, depth and time of its body, and how many jobs a key adds."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from time import monotonic
from typing import Any

from starlette.types import Receive

from toril.core.nesting import is_too_deep
from toril.web.problems import Problem

MAX_DEPTH = 100
"""Deepest nesting of a body."""
MAX_KEYS = 2_000
"""Most keys of one object in a body."""
SURELY_FEW_BYTES = 4 * MAX_KEYS
"""A body this small cannot hold an object with more keys."""
BURST_S = 10.0
"""A key that was idle may add as many jobs at once as it may in so many seconds."""
MOST_KEYS = 10_000
"""Callers that are remembered."""

_LONG_NUMBER = re.compile(rb"\d{19}")


async def read_body(receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: It is too large, or too slow.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Problem(400, "gone", "the caller left before the body was complete")
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > max_bytes:
                    raise too_large(max_bytes)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Problem(
            408, "body_too_slow", f"the body was not complete within {timeout_s:g} s: send it again"
        ) from None


def too_large(max_bytes: int) -> Problem:
    """Return the answer to a body that is too large."""
    return Problem(
        413,
        "body_too_large",
        f"the body is larger than {max_bytes:,} bytes: send fewer jobs at a time, or store large"
        " data elsewhere and pass its address",
    )


def check_depth(body: bytes) -> None:
    """Refuse a body that is nested too deep.

    Raises:
        Problem: It is.
    """
    if is_too_deep(body, MAX_DEPTH):
        raise Problem(422, "too_deep", f"the body is nested more than {MAX_DEPTH} levels deep")


def may_be_excessive(body: bytes) -> bool:
    """Whether a body may hold what `check_values` refuses: a fast check of its text."""
    return len(body) > SURELY_FEW_BYTES or _LONG_NUMBER.search(body) is not None


def check_values(value: Any, path: str = "") -> None:
    """Refuse objects with too many keys, and numbers that not every store can hold.

    Parameters:
        value: What was sent.
        path: Where in the body it is.

    Raises:
        Problem: There is such a value.
    """
    if isinstance(value, dict):
        if len(value) > MAX_KEYS:
            raise Problem(
                422,
                "too_many_keys",
                f"{path or 'the body'} has {len(value):,} keys: at most {MAX_KEYS:,} in one object",
                field=path or None,
            )
        for key, item in value.items():
            check_values(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_values(item, f"{path}[{index}]")
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Problem(
            422,
            "number_too_large",
            f"{path or 'the body'} is a number of {len(str(value)):,} digits, which JSON readers"
            " do not keep exactly: send a smaller one, or text where text is taken",
            field=path or None,
        )


class Submissions:
    """How many jobs each caller has added of late: a bucket that fills again all the time."""

    def __init__(self, per_s: float | None, *, now_s: Callable[[], float] = monotonic) -> None:
        """Begin to count.

        Parameters:
            per_s: Jobs a second. None: no limit.
            now_s: A stopwatch.
        """
        self._per_s = per_s
        self._now_s = now_s
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, many: int) -> None:
        """Count jobs that a caller adds.

        Raises:
            Problem: It has added too many; `Retry-After` says when to come back.
        """
        if self._per_s is None:
            return
        now_s, most = self._now_s(), max(1.0, self._per_s * BURST_S)
        left, at_s = self._left.pop(caller, (most, now_s))
        left = min(most, left + (now_s - at_s) * self._per_s)
        self._left[caller] = (left, now_s)  # now the last one
        while len(self._left) > MOST_KEYS:
            del self._left[next(iter(self._left))]
        wanted = min(many, most)  # else a large batch could never be added
        if left < wanted:
            wait_s = max(1, math.ceil((wanted - left) / self._per_s))
            raise Problem(
                429,
                "too_many_jobs",
                f"{caller} adds more than {self._per_s:g} jobs a second: try again in {wait_s} s",
                headers={"retry-after": str(wait_s)},
            )
        self._left[caller] = (left - wanted, now_s)
