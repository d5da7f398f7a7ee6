"""De-duplication: what becomes of a job whose de-duplication id another job holds.

Words and modes are BullMQ's (spec, section 3.15), so that producers of both may share an id.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import msgspec

from toril.core.checks import require
from toril.core.durations import require_seconds
from toril.core.ids import MAX_ID_CHARS
from toril.core.reading import read_object


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Add a job only if no other one holds its de-duplication id.

    The job that is added holds the id until it finishes, or is removed; with `ttl_s` for so long,
    whatever becomes of it. A job that finds the id taken is not added: the answer is the holder.
    """

    id: str
    """What the jobs have in common, 1 to 512 printable characters. A queue's own."""
    _: KW_ONLY
    ttl_s: float | None = None
    """Hold the id for so many seconds from the moment of adding. None: until the job finishes."""
    extend: bool = False
    """Each further job makes the holder's time begin anew. Needs `ttl_s`."""
    replace: bool = False
    """A holder that is delayed is removed, and the new job takes its place and its id."""
    reschedule: bool = False
    """A holder that is delayed becomes due when the new job would have been."""
    keep_last_if_active: bool = False
    """While the holder runs, the newest further job is put aside, and added when the holder has
    finished. The id is held until then, whatever `ttl_s` says."""

    def __post_init__(self) -> None:
        check_deduplication_id(self.id)
        if self.ttl_s is not None:
            require_seconds(self.ttl_s, "ttl_s")
            # The store counts in milliseconds: a shorter time would be none.
            require(self.ttl_s >= 0.001, "ttl_s", self.ttl_s, "seconds, from 0.001, or None")
        require(
            not self.extend or self.ttl_s is not None,
            "extend",
            self.extend,
            "a ttl_s beside it, which is what it extends",
        )
        require(
            not (self.replace and self.reschedule),
            "reschedule",
            self.reschedule,
            "either replace or reschedule, not both",
        )


class DeduplicationRule(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The same as it crosses the contract. As JSON: without what is at its default."""

    id: str
    ttl_ms: int | None = None
    extend: bool = False
    replace: bool = False
    reschedule: bool = False
    keep_last_if_active: bool = False

    @property
    def hold_ms(self) -> int | None:
        """For how long the id is held. None: until the job finishes."""
        return None if self.keep_last_if_active else self.ttl_ms


class Aside(msgspec.Struct, frozen=True):
    """A job that is added when the holder of its de-duplication id has finished."""

    job_id: str
    name: str
    data: str
    """JSON text."""
    opts: str
    """JSON text, as of any job."""
    run_at_ms: int | None = None


class HeldId(msgspec.Struct, frozen=True):
    """A de-duplication id that a job holds."""

    id: str
    left_ms: int | None
    """For how much longer. None: until the job finishes."""
    aside: Aside | None = None


def check_deduplication_id(deduplication_id: str) -> str:
    """Return the id if it can be one.

    Raises:
        InvalidOptionError: It is empty, too long, or holds a control character.
    """
    good = isinstance(deduplication_id, str) and 0 < len(deduplication_id) <= MAX_ID_CHARS
    good = good and deduplication_id.isprintable()
    require(good, "deduplication id", deduplication_id, f"1 to {MAX_ID_CHARS} printable characters")
    return deduplication_id


def rule(deduplication: Deduplication) -> DeduplicationRule:
    """Return what crosses the contract."""
    return DeduplicationRule(
        id=deduplication.id,
        ttl_ms=None if deduplication.ttl_s is None else round(deduplication.ttl_s * 1000),
        extend=deduplication.extend,
        replace=deduplication.replace,
        reschedule=deduplication.reschedule,
        keep_last_if_active=deduplication.keep_last_if_active,
    )


def from_rule(rule: DeduplicationRule) -> Deduplication:
    """Return what a caller has said, from what crosses the contract."""
    return Deduplication(
        id=rule.id,
        ttl_s=None if rule.ttl_ms is None else rule.ttl_ms / 1000,
        extend=rule.extend,
        replace=rule.replace,
        reschedule=rule.reschedule,
        keep_last_if_active=rule.keep_last_if_active,
    )


def to_wire(deduplication: Deduplication) -> dict[str, Any]:
    """Return the `de` of a job's stored options (spec, section 2.1)."""
    wire: dict[str, Any] = {"id": deduplication.id}
    if deduplication.ttl_s is not None:
        wire["ttl"] = round(deduplication.ttl_s * 1000)
    for name, said in (
        ("extend", deduplication.extend),
        ("replace", deduplication.replace),
        ("reschedule", deduplication.reschedule),
        ("keepLastIfActive", deduplication.keep_last_if_active),
    ):
        if said:
            wire[name] = True
    return wire


def id_in(opts: str) -> str | None:
    """Return the de-duplication id that stored options name; None: they name none."""
    if '"de"' not in opts:
        return None
    said = read_object(opts).get("de")
    found = said.get("id") if isinstance(said, dict) else None
    return found if isinstance(found, str) else None
