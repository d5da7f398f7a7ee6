"""Reads which worker holds a job: whether a token still holds is decided by what this returns."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from toril.backends.sqlite.transaction import Transaction


class Holder(msgspec.Struct, array_like=True, gc=False):
    """A running job, as `held.sql` tells of it."""

    number: int | str
    token: str
    priority: int
    cancel_reason: str | None


_HOLDERS = msgspec.json.Decoder(list[Holder])


def holders(transaction: Transaction, numbers: Iterable[int | str]) -> dict[int | str, Holder]:
    """Return those of some jobs that are running, by their numbers."""
    wanted = msgspec.json.encode(list(numbers)).decode()
    found = _HOLDERS.decode(transaction.value("held", wanted))
    return {holder.number: holder for holder in found}
