"""What a search can ask of a job: the fields, and what may be compared with each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from toril.core.clock import epoch_ms
from toril.core.durations import parse as parse_duration
from toril.core.errors import InvalidOptionError
from toril.engine.search.query import OPERATORS, Operator
from toril.engine.states import State

_TEXTS: tuple[Operator, ...] = (":", "~")
_SIZES: tuple[Operator, ...] = (":", ">=", "<=", ">", "<")
_SPANS: tuple[Operator, ...] = (">=", "<=", ">", "<")
_BYTES = {"b": 1, "kb": 1000, "mb": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that can be asked of a job."""

    operators: tuple[Operator, ...]
    meaning: str
    check: Callable[[str], object] | None = None
    """Turns a value into what is compared; raises ValueError. None: it is text, with gaps."""
    expected: str = ""
    """What `check` takes."""
    has_path: bool = False


def number_of(text: str) -> float:
    """Return a number.

    Raises:
        ValueError: It is none.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def span_s(text: str) -> float:
    """Return the seconds of `5`, `250ms`, `5m` or `7d`.

    Raises:
        ValueError: It is none of these.
    """
    try:
        return parse_duration(text, "duration")
    except InvalidOptionError:
        raise ValueError(text) from None


def bytes_of(text: str) -> float:
    """Return the bytes of `500`, `10kB` or `1.5MB`.

    Raises:
        ValueError: It is none of these.
    """
    digits = text.rstrip("kKmMbB")
    unit = text[len(digits) :].lower() or "b"
    return number_of(digits) * _BYTES[unit] if unit in _BYTES else number_of(text)


def moment_ms(text: str, now_ms: int) -> int:
    """Return the moment `1h` ago, or of `2026-11-28` or `2026-11-28T20:00:00Z` (UTC unless said).

    Raises:
        ValueError: It is none of these.
    """
    try:
        return now_ms - round(parse_duration(text, "since") * 1000)
    except InvalidOptionError:
        at = datetime.fromisoformat(text)
        return epoch_ms(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def state_of(text: str) -> State:
    """Return a state.

    Raises:
        ValueError: It is none.
    """
    return State(text)


def _moment(text: str) -> int:
    return moment_ms(text, 0)


_DURATION = "a duration such as 250ms, 5s, 10m, 2h or 7d"
_NUMBER = "a number"
_MOMENT = "a duration back from now, such as 1h or 7d, or a moment such as 2026-11-28T20:00:00Z"

FIELDS: dict[str, Field] = {
    "state": Field(
        operators=(":",),
        meaning="its state",
        check=state_of,
        expected=f"one of {', '.join(State)}",
    ),
    "queue": Field(operators=_TEXTS, meaning="the name of its queue"),
    "name": Field(operators=_TEXTS, meaning="its name, which is that of its task"),
    "id": Field(operators=_TEXTS, meaning="its id"),
    "data": Field(operators=OPERATORS, meaning="its payload, or a field below it", has_path=True),
    "opts": Field(operators=OPERATORS, meaning="its stored options, or one of them", has_path=True),
    "result": Field(
        operators=OPERATORS, meaning="what it returned, or a field below it", has_path=True
    ),
    "error": Field(operators=_TEXTS, meaning="why its last attempt failed"),
    "worker": Field(operators=_TEXTS, meaning="the worker that ran it last"),
    "dedup": Field(operators=_TEXTS, meaning="the de-duplication id that it was added with"),
    "parent": Field(operators=_TEXTS, meaning="the id of its parent in a flow"),
    "attempts": Field(
        operators=_SIZES, meaning="attempts that count", check=number_of, expected=_NUMBER
    ),
    "stalled": Field(
        operators=_SIZES, meaning="how often it lost its worker", check=number_of, expected=_NUMBER
    ),
    "priority": Field(
        operators=_SIZES, meaning="its priority; 0 is none", check=number_of, expected=_NUMBER
    ),
    "size": Field(
        operators=_SIZES,
        meaning="bytes of its payload",
        check=bytes_of,
        expected="a size such as 500, 10kB or 1MB",
    ),
    "since": Field(
        operators=(":",),
        meaning="it ended then or later; one that has not ended: it was added then or later",
        check=_moment,
        expected=_MOMENT,
    ),
    "until": Field(
        operators=(":",),
        meaning="it ended, or was added, then or before",
        check=_moment,
        expected=_MOMENT,
    ),
    "age": Field(
        operators=_SPANS, meaning="how long ago it was added", check=span_s, expected=_DURATION
    ),
    "wait": Field(
        operators=_SPANS,
        meaning="from when it was added to its last start",
        check=span_s,
        expected=_DURATION,
    ),
    "runtime": Field(
        operators=_SPANS,
        meaning="from its last start to its end, or until now while it runs",
        check=span_s,
        expected=_DURATION,
    ),
    "text": Field(
        operators=("~",),
        meaning="text in its id, name, payload or error; the field may be left out",
    ),
}
"""By name."""

SINGLE = ("since", "until")
"""Fields that take one value only."""
