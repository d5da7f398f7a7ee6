"""Priorities of an application that counts them the other way round: the higher, the sooner.

Stored priorities are BullMQ's, where 1 is the most urgent. An application's door converts, in both
directions; what is stored already is never reinterpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toril.core.checks import require
from toril.core.errors import InvalidSettingError

VARIABLE = "QUEUE_PRIORITY_WIRE"
"""`raw`: priorities are stored as they are, for installations whose older producers do so."""
RAW_TEXT = (
    f"{VARIABLE}=raw: priorities are stored as they come, so the most urgent jobs run last;"
    f" unset it once every producer turns its priorities around"
)
"""What the doctor says of it."""


@dataclass(frozen=True, slots=True)
class PriorityScale:
    """Priorities 1 to `most_urgent`, of which the highest runs first.

    Raises:
        InvalidOptionError: `most_urgent` is below 1.
    """

    most_urgent: int
    raw: bool = False
    """Store them as they are: then the highest runs last."""

    def __post_init__(self) -> None:
        require(self.most_urgent >= 1, "most_urgent", self.most_urgent, "an integer from 1")

    @classmethod
    def from_environment(cls, most_urgent: int, environ: Mapping[str, str]) -> PriorityScale:
        """Return the scale, as `QUEUE_PRIORITY_WIRE` says.

        Raises:
            InvalidSettingError: It is neither `raw` nor unset.
        """
        return cls(most_urgent, raw=is_raw(environ))

    def __call__(self, priority: int) -> int:
        """Return one of these priorities as a stored one, or back. Others stay: 0 means none."""
        if self.raw or not 1 <= priority <= self.most_urgent:
            return priority
        return self.most_urgent + 1 - priority


def is_raw(environ: Mapping[str, str]) -> bool:
    """Whether an environment has priorities stored as they are.

    Raises:
        InvalidSettingError: The variable has another value.
    """
    given = environ.get(VARIABLE, "").strip()
    if given not in ("", "raw"):
        raise InvalidSettingError(f"{VARIABLE}={given!r}: expected raw, or nothing")
    return given == "raw"
