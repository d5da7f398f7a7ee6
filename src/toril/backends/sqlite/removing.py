"""Removes jobs with their logs, and frees their de-duplication ids."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.ties import read_ties, tell_gone
from toril.backends.sqlite.transaction import Transaction
from toril.engine.states import State


def remove_jobs(
    transaction: Transaction,
    row: QueueRow,
    state: State,
    numbers: Sequence[int],
    *,
    evicted: bool = False,
    moved: bool = False,
) -> None:
    """Remove jobs of one state, with their logs. No event.

    They let go of their de-duplication ids; not if `evicted` by a keep policy, as a time that an id
    is held for goes on when its job has finished. Their parents are told; not if they have `moved`
    to another store.
    """
    listing = msgspec.json.encode(numbers).decode()
    ties = read_ties(transaction, numbers) if row.flows else {}
    transaction.run("logs_remove", listing)
    transaction.run("remove", listing)
    if row.deduplicates and not evicted:
        transaction.run("deduplications_drop", listing, row.id)
    row.moved(state, None, len(numbers))
    if ties:  # at last: a parent that goes on may be one of those that went
        transaction.run("children_forget", listing)
        for tie in () if moved else ties.values():
            tell_gone(transaction, row.name, tie)
