"""What is stored for alerts, and how it is written and read.

Whatever somebody else wrote in its place is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Literal, TypeVar

import msgspec

from toril.alerts.message import AlertMessage
from toril.engine.contract.alerts import AlertRow, AlertRowKind

AlertState = Literal["pending", "raised", "recovered"]


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one alert: a rule and what it is about."""

    rule: str
    subject: str
    """A queue; of a worker, its queues."""
    queues: list[str]
    state: AlertState
    """`pending`: seen, but not for long enough. `recovered`: kept until its cool-down is over."""
    since_ms: int
    """When it was first seen, epoch milliseconds."""
    seen_ms: int
    """When it was last seen."""
    value: float
    threshold: float
    text: str
    latest_ms: int = 0
    """Of rules that count: when the newest of what they count happened."""
    told: bool = False
    """Whether somebody was told that it is raised."""
    told_ms: int = 0
    """When somebody was last told, of this or an earlier time. 0: never."""


class MuteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """That nobody is to be told of some alerts for a while."""

    rule: str
    """A rule, or a pattern."""
    queue: str
    """A queue, or a pattern."""
    until_ms: int
    by: str = ""
    reason: str = ""


class NoteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one process saw of one rule and queue in one minute."""

    rule: str
    queue: str
    count: int
    value: float
    """The greatest."""
    latest_ms: int
    text: str = ""


class UnsentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message that one channel has still to send."""

    channel: str
    message: AlertMessage
    made_ms: int
    tries: int = 0
    next_ms: int = 0
    """Not before."""
    error: str = ""
    """Of the last try."""


class SizesRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs waited, in the samples of the last minutes."""

    at_ms: int
    """When the newest was taken."""
    sizes: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """By queue, oldest first; only of queues that grow."""


SIZES = "sizes"
"""The key of the only sample."""

R = TypeVar("R", bound=msgspec.Struct)


def row(kind: AlertRowKind, key: str, record: msgspec.Struct) -> AlertRow:
    """Return a record as a store keeps it."""
    return AlertRow(kind, key, msgspec.json.encode(record).decode())


def read_rows(rows: Iterable[AlertRow], kind: AlertRowKind, record: type[R]) -> dict[str, R]:
    """Return the records of a kind by their keys."""
    found: dict[str, R] = {}
    for one in rows:
        if one.kind == kind:
            with suppress(ValueError, RecursionError):
                found[one.key] = msgspec.json.decode(one.body, type=record)
    return found


def key_of(rule: str, subject: str) -> str:
    """Return the key of an alert or a mute."""
    return f"{rule}:{subject}"
