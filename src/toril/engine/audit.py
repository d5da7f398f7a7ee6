"""The audit log: who did what to jobs, queues and the store, kept in the store and capped.

`operations.py` hands over each operation once it is done. What jobs carry is not recorded, and
secrets among the arguments are hidden. An entry says what its actor said of itself: whoever can
open the store can write anything into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from toril.core.checks import require
from toril.core.clock import moment
from toril.core.codec import encode_text
from toril.core.loggers import logger
from toril.core.masking import Masker
from toril.core.reading import read_object
from toril.engine.contract import Backend
from toril.engine.contract.audit import AuditLine

if TYPE_CHECKING:
    from toril.engine.operations import Acting, Operation

log = logger("toril.audit")

KINDS = ("cli", "key", "user", "host")
"""What an actor's name begins with, before a colon, if one of Toril's doors has named it."""
MAX_CHARS = 1_000
"""The longest argument, and the longest state before or after, that is recorded whole."""
CHUNK = 200
SCANNED = 5_000
"""How many entries one page looks through for those that are wanted."""

Audited = Literal["people", "all", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done."""

    position: str
    """Where it stands in the log."""
    at: datetime
    actor: str
    """Who, such as `user:jo`, `key:deploy`, `cli:root`; see `acting`."""
    kind: str
    """`cli`, `key`, `user` or `host`: the door that has named the actor. `program`: nobody has.
    `named`: a program has, by `acting`."""
    verb: str
    """The method that was called, such as `retry_all` or `keys.add`."""
    queue: str | None
    job_id: str | None
    arguments: dict[str, Any]
    """What it was given, filters included; secrets are `***`, and long values are cut."""
    count: int | None
    """How many jobs it changed, if it is a method for many."""
    reason: str | None
    before: dict[str, Any] | None
    """What it changed, before it did, if that is small. Read a moment earlier: something else may
    have changed it in between."""
    after: dict[str, Any] | None
    error: str | None
    """What cut it short, after `count` jobs. None: nothing did."""


class AuditPage(NamedTuple):
    """Some entries of the log."""

    entries: list[AuditEntry]
    next: str | None
    """Give it as `after` for the next page. None: this was the last."""


class AuditLog:
    """The record of what people and their programs did: `app.audit`."""

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._open = backend

    async def page(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        actor: str | None = None,
        verb: str | None = None,
        queue: str | None = None,
        job_id: str | None = None,
        since: datetime | None = None,
    ) -> AuditPage:
        """Return entries, newest first.

        A page looks through a few thousand entries. Where few are wanted it may hold less than
        `limit`, even none, although more come: go on until `next` is None.

        Parameters:
            limit: At most so many, up to 1,000.
            after: `AuditPage.next` of the page before.
            actor: Only what this actor did.
            verb: Only this method.
            queue: Only what was done to this queue and its jobs.
            job_id: Only what was done to jobs of this id.
            since: Only what was done at this moment or later.

        Raises:
            InvalidOptionError: An argument makes no sense.
        """
        require(0 < limit <= 1_000, "limit", limit, "an integer from 1 to 1,000")
        before = None if after is None else _position(after)
        wanted = {"actor": actor, "verb": verb, "queue": queue, "job_id": job_id}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        entries: list[AuditEntry] = []
        seen = 0
        while seen < SCANNED:
            lines = await self._open().audit.page(before=before, limit=CHUNK)
            for line in lines:
                entry = entry_of(line)
                if since is not None and entry.at < since:
                    return AuditPage(entries, None)
                before = line.position
                if all(getattr(entry, name) == value for name, value in wanted.items()):
                    entries.append(entry)
                if len(entries) == limit:
                    return AuditPage(entries, str(before))
            if len(lines) < CHUNK:
                return AuditPage(entries, None)
            seen += len(lines)
        return AuditPage(entries, str(before))


class AuditRecorder:
    """Writes operations into the log."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        masker: Callable[[], Masker],
        *,
        which: Audited,
        keep: int,
    ) -> None:
        """Make a recorder.

        Parameters:
            backend: Gives the store.
            masker: Gives what hides secrets.
            which: `people`: what somebody does who was named. `all`: what programs do as well.
            keep: How many entries the store keeps.
        """
        self._open = backend
        self._masker = masker
        self._which = which
        self._keep = keep

    def wants(self, acts: Acting) -> bool:
        """Whether what somebody does is recorded."""
        return self._which == "all" or (self._which == "people" and acts.actor != "program")

    async def write(self, operation: Operation, acts: Acting, error: BaseException | None) -> None:
        """Write an entry. A store that cannot be written is logged: the operation is done."""
        try:
            await self._open().audit.append(self._text(operation, acts, error), keep=self._keep)
        except Exception:
            log.exception(
                "the audit log could not be written: %r by %r", operation.verb, acts.actor
            )

    def _text(self, operation: Operation, acts: Acting, error: BaseException | None) -> str:
        masker = self._masker()
        facts = {
            "actor": acts.actor,
            "reason": acts.reason and masker.text(acts.reason),
            "verb": operation.verb,
            "queue": _small(operation.queue),
            "job_id": _small(operation.job_id),
            "arguments": {
                name: _small(value)
                for name, value in masker.value(_plain(operation.arguments)).items()
            },
            "count": operation.count,
            "before": _small(masker.value(_plain(operation.before))),
            "after": _small(masker.value(_plain(operation.after))),
            "error": error if error is None else type(error).__name__,
        }
        return encode_text({name: fact for name, fact in facts.items() if fact not in (None, {})})


def entry_of(line: AuditLine) -> AuditEntry:
    """Return an entry as Python values, also one that another program has written."""
    facts = read_object(line.text)
    actor = _word(facts.get("actor")) or "unknown"
    count = facts.get("count")
    return AuditEntry(
        position=str(line.position),
        at=moment(line.at_ms),
        actor=actor,
        kind=kind_of(actor),
        verb=_word(facts.get("verb")) or "unknown",
        queue=_word(facts.get("queue")),
        job_id=_word(facts.get("job_id")),
        arguments=_object(facts.get("arguments")) or {},
        count=count if isinstance(count, int) else None,
        reason=_word(facts.get("reason")),
        before=_object(facts.get("before")),
        after=_object(facts.get("after")),
        error=_word(facts.get("error")),
    )


def kind_of(actor: str) -> str:
    """Return which door has named an actor."""
    kind, colon, _ = actor.partition(":")
    if colon and kind in KINDS:
        return kind
    return "program" if actor == "program" else "named"


def _plain(value: Mapping[str, Any] | None) -> Any:
    """Return what was given as JSON values; what is none, as text."""
    return None if value is None else msgspec.to_builtins(value, enc_hook=str, str_keys=True)


def _small(value: Any) -> Any:
    """Return a value, or the beginning of its text if it is long or cannot be written."""
    try:
        text = encode_text(value)
    except (TypeError, ValueError):  # half a character, say: what was done is recorded anyway
        return ascii(value)[:MAX_CHARS]
    return value if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}… ({len(text)} characters)"


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> dict[str, Any] | None:
    if isinstance(value, str):  # it was long
        return {"text": value}
    return value if isinstance(value, dict) else None


def _position(text: str) -> int:
    good = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 19
    require(good, "after", text, "the cursor that a page of the audit log ended with")
    return int(text)
