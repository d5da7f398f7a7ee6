"""What a search will cost: which jobs have to be looked at, and how. Pure.

From the cheapest to the dearest: jobs are looked up by their ids; a list of one state is read, of
which every job is meant; jobs are looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from toril.engine.contract.counts import QueueRecord
from toril.engine.search.fields import SINGLE, moment_ms
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import FINISHED, State

Tier = Literal["id", "list", "scan"]
"""`id`: jobs are looked up by their ids. `list`: lists of states are read, of which every job is
meant. `scan`: jobs are looked at one by one."""

ORDER = (
    State.FAILED,
    State.ACTIVE,
    State.WAIT,
    State.PRIORITIZED,
    State.DELAYED,
    State.WAITING_CHILDREN,
    State.COMPLETED,
)
"""States in the order in which they are looked through: what somebody is most likely to look for
comes first."""

_PLACED = ("state", "queue", *SINGLE)
"""Fields that say where to look. The others say which of the jobs there."""
_SAFE = re.compile(r"[A-Za-z0-9 _.@:,=+-]+")
"""Characters that no writer of JSON escapes."""
_LEAST_CHARS = 2
"""Shorter texts are in nearly every job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needles:
    """Texts that have to be in a job, in lower case; None: any text will do."""

    name: str | None = None
    data: str | None = None
    error: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The jobs of one state of a queue, which are looked through."""

    queue: str
    state: State
    alternatives: tuple[tuple[Term, ...], ...]
    """What has to hold for a job here: all terms of one of them."""
    needles: Needles
    since_ms: int | None
    until_ms: int | None
    every: bool
    """Every job of it is meant."""

    def ended_until(self, until_ms: int) -> Stretch:
        """Return the jobs of it that had not ended later; those that have not ended are all in."""
        if self.state not in FINISHED:
            return self
        bound = until_ms if self.until_ms is None else min(until_ms, self.until_ms)
        return replace(self, until_ms=bound)


def looked_up(query: Query) -> list[str] | None:
    """Return the ids that a search names. None: it does not say them all."""
    ids: dict[str, None] = {}
    for terms in query.alternatives:
        named = [
            term for term in terms if term.field == "id" and term.operator == ":"
            and not term.negated and all(value.exact is not None for value in term.values)
        ]  # fmt: skip
        if not named:
            return None
        ids |= {value.exact: None for value in named[0].values if value.exact is not None}
    return list(ids)


def named_queues(query: Query) -> list[str] | None:
    """Return the queues that a search names. None: others may be meant, too."""
    names: dict[str, None] = {}
    for terms in query.alternatives:
        named = [
            term for term in terms if term.field == "queue" and term.operator == ":"
            and not term.negated and all(value.exact is not None for value in term.values)
        ]  # fmt: skip
        if not named:
            return None
        names |= {value.exact: None for value in named[0].values if value.exact is not None}
    return sorted(names)


def may_be_in(query: Query, queue: str) -> bool:
    """Return whether jobs of a queue can be meant."""
    return any(_meets(terms, "queue", _queue_test(queue)) for terms in query.alternatives)


def stretches(query: Query, queues: Sequence[str], now_ms: int) -> list[Stretch]:
    """Return what to look through, in order."""
    found = []
    for queue in sorted(queues):
        for state in ORDER:
            meant = tuple(
                terms
                for terms in query.alternatives
                if _meets(terms, "queue", _queue_test(queue))
                and _meets(terms, "state", _state_test(state))
            )
            if meant:
                found.append(_stretch(queue, state, meant, now_ms))
    return found


def tier_of(query: Query, found: Sequence[Stretch]) -> Tier:
    """Return how a search is answered."""
    if looked_up(query) is not None:
        return "id"
    return "list" if all(stretch.every for stretch in found) else "scan"


def sentences(
    query: Query, found: Sequence[Stretch], records: Sequence[QueueRecord]
) -> tuple[int, list[str]]:
    """Return how many jobs are looked at, at most, and what a search will cost, in words."""
    queues = f"{len(records):,} {'queue' if len(records) == 1 else 'queues'}"
    ids = looked_up(query)
    if ids is not None:
        most = len(ids) * len(records)
        jobs = f"{len(ids)} {'id' if len(ids) == 1 else 'ids'}"
        return most, [f"Looks up {jobs} in {queues}: {most:,} short reads."]
    counts = {record.name: record.counts for record in records}
    sizes = [(stretch, counts[stretch.queue][stretch.state]) for stretch in found]
    most = sum(size for _, size in sizes)
    told = []
    listed = [(stretch, size) for stretch, size in sizes if stretch.every]
    if listed:
        many = sum(size for _, size in listed)
        told.append(f"Reads lists of states in {queues}: every job of them is meant, {many:,} now.")
    dear = [(stretch, size) for stretch, size in sizes if not stretch.every]
    if dear:
        many = sum(size for _, size in dear)
        told.append(
            f"Looks at up to {many:,} jobs in {queues} one by one, newest first, in short calls;"
            " ends when its time is up, and goes on when asked."
        )
        needles = {
            needle
            for stretch, _ in dear
            for one in (stretch.needles,)
            for needle in (one.name, one.data, one.error, one.text)
            if needle is not None
        }
        if needles:
            words = ", ".join(f'"{needle}"' for needle in sorted(needles))
            told.append(f"The store itself passes over jobs without {words}.")
        else:
            told.append(
                "Each job is read whole: name a state, a queue, a time or a text of two characters"
                " or more to read fewer."
            )
    if any(stretch.since_ms is not None or stretch.until_ms is not None for stretch in found):
        told.append("Of finished jobs only those of that time are read.")
    return most, told


def _stretch(queue: str, state: State, meant: tuple[tuple[Term, ...], ...], now_ms: int) -> Stretch:
    bounds = [_bounds(terms, now_ms) if state in FINISHED else (None, None) for terms in meant]
    sinces = [since for since, _ in bounds if since is not None]
    untils = [until for _, until in bounds if until is not None]
    return Stretch(
        queue=queue,
        state=state,
        alternatives=meant,
        needles=_needles(meant[0]) if len(meant) == 1 else Needles(),
        since_ms=min(sinces) if len(sinces) == len(meant) else None,
        until_ms=max(untils) if len(untils) == len(meant) else None,
        every=any(_is_every(terms, state) for terms in meant)
        and (len(meant) == 1 or not (sinces or untils)),
    )


def _is_every(terms: tuple[Term, ...], state: State) -> bool:
    """Return whether every job in a state, and in the time that is looked through, is meant."""
    placed = all(term.field in _PLACED and not (term.field in SINGLE and term.negated)
                 for term in terms)  # fmt: skip
    return placed and (state in FINISHED or not any(term.field in SINGLE for term in terms))


def _bounds(terms: tuple[Term, ...], now_ms: int) -> tuple[int | None, int | None]:
    sinces, untils = (
        [
            moment_ms(term.values[0].parts[0], now_ms)
            for term in terms
            if term.field == field and not term.negated
        ]
        for field in SINGLE
    )
    return (max(sinces) if sinces else None, min(untils) if untils else None)


def _needles(terms: tuple[Term, ...]) -> Needles:
    """Return the longest texts that have to be in a job if all terms are to hold."""
    longest: dict[str, str] = {}
    for term in terms:
        if term.negated or len(term.values) > 1 or term.operator not in (":", "~"):
            continue
        if term.field not in ("name", "data", "error", "text"):
            continue
        pieces = [piece.lower() for part in term.values[0].parts for piece in _SAFE.findall(part)]
        needle = max(pieces, key=len, default="")
        if len(needle) >= max(_LEAST_CHARS, len(longest.get(term.field, "")) + 1):
            longest[term.field] = needle
    return Needles(**longest)


def _meets(terms: tuple[Term, ...], field: str, test: Callable[[Term], bool]) -> bool:
    return all(test(term) is not term.negated for term in terms if term.field == field)


def _queue_test(queue: str) -> Callable[[Term], bool]:
    def test(term: Term) -> bool:
        if term.operator == "~":
            return term.values[0].is_in(queue)
        return any(value.fits(queue) for value in term.values)

    return test


def _state_test(state: State) -> Callable[[Term], bool]:
    return lambda term: Pattern((str(state),)) in term.values
