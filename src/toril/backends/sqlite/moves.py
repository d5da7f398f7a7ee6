"""Moves jobs to another state, other than by success: what `move.sql` writes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.backends.sqlite.transaction import Transaction
from toril.engine.job import Attempt
from toril.engine.states import State


class Move(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One job on its way to another state. None keeps what is there, unless it says otherwise."""

    number: int
    state: State
    position: int | None = None
    due_ms: int | None = None
    """None: it is not delayed."""
    delay_ms: int | None = None
    attempts_made: int | None = None
    failed_reason: str | None = None
    attempt: Attempt | None = None
    """Joins the job's history."""
    finished_ms: int | None = None
    """None: it has not finished."""
    stalled: int | None = None
    """Added to the stalls that were counted. None: the count begins anew."""
    deferred_failure: str | None = None
    boot: int | None = None
    due_steady_ms: int | None = None


def move(transaction: Transaction, moves: Sequence[Move]) -> None:
    """Write moves, in one statement."""
    if moves:
        transaction.run("move", msgspec.json.encode(moves).decode())
