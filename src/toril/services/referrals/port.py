"""What a store of referrals promises: entries, balances and statistics that change together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from toril.core.errors import TorilError

EntryKind = Literal["commission", "refund"]
OrderState = Literal["paid", "refunded"]


class RefundMismatchError(TorilError):
    """A refund names another amount or currency than its order. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was bought."""

    order_id: str
    buyer_id: str
    currency: str
    amount_minor: int
    """In the currency's smallest unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one referrer gets of an order."""

    level: int
    """1: referred the buyer. 2: referred the one of level 1."""
    user_id: str
    amount_minor: int
    """From 1."""
    rate_basis_points: int
    """Hundredths of a percent, by which it was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a referrer's account. It is never changed: a refund is another entry."""

    order_id: str
    level: int
    kind: EntryKind
    user_id: str
    currency: str
    amount_minor: int
    """Below 0 for a refund."""
    rate_basis_points: int
    booked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What became of an order."""

    mine: bool
    """Whether it was the caller, by its key, who booked it: now or in an earlier attempt."""
    state: OrderState
    entries: Sequence[Entry]
    """All entries of the order, by level, a commission before its refund."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralStatistics:
    """What a referrer achieved in one currency."""

    referrals: int = 0
    """Different buyers whom they referred themselves, and who paid an order."""
    orders: int = 0
    """Orders, of both levels, that earned them something."""
    earned_minor: int = 0
    refunded_minor: int = 0
    """What was taken back; `earned_minor` still holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """What referrers are paid for a stretch of time: once for each id and account, for ever."""

    payout_id: str
    start: datetime
    """Of the stretch; kept with the payment. What was not paid before it is paid too."""
    end: datetime
    """The first moment whose entries are not paid."""
    method: str | None = None
    """How it is paid, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidOut:
    """One payment to one account. It is never changed."""

    payout_id: str
    user_id: str
    currency: str
    amount_minor: int
    """From 1."""
    method: str | None
    booked_at: datetime
    mine: bool
    """Whether it was the caller, by its key, who booked it; False where nobody asks by a key."""


class Referrals(Protocol):
    """Stores who referred whom, commissions, and what was paid of them."""

    async def refer(self, user_id: str, referrer_id: str) -> bool:
        """Note who referred a user; return whether that is new. The first one stays."""
        ...

    async def referrer_of(self, user_id: str) -> str | None:
        """Return who referred a user. None: nobody."""
        ...

    async def book(self, order: Order, due: Sequence[Due], *, key: str) -> Booking:
        """Book the commissions of a paid order, unless it is there already, paid or refunded.

        Entries, balances and statistics change in one transaction.

        Parameters:
            order: What was paid.
            due: Who gets what; of each level at most one.
            key: Who books: the same in each attempt of a job.
        """
        ...

    async def refund(self, order: Order, *, key: str) -> Booking:
        """Take back the commissions of an order by opposite entries, once.

        An order that was not booked is noted as refunded, and earns nobody anything afterwards.

        Raises:
            RefundMismatchError: The order was booked with another amount or currency.
        """
        ...

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """Return all entries of an order, by level, a commission before its refund."""
        ...

    async def balance(self, user_id: str, currency: str) -> int:
        """Return what a referrer may still get: entries less payouts.

        It is below 0 if more was taken back than was left.
        """
        ...

    async def accounts(
        self, user_id: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 500
    ) -> Sequence[tuple[str, str]]:
        """Return users and currencies with a balance above 0, sorted.

        Parameters:
            user_id: Of this one only.
            after: The last one that is known.
            limit: How many at most.
        """
        ...

    async def pay_out(
        self, payout: Payout, user_id: str, currency: str, *, least_minor: int, key: str
    ) -> PaidOut | None:
        """Book what an account earned before the payout's end and was not paid yet.

        It is never more than the balance. Payment and balance change in one transaction.

        Parameters:
            payout: Which; one that paid this account already gives its payment back.
            user_id: Whose account.
            currency: In which currency.
            least_minor: Less than this is not paid and stays in the balance. From 1.
            key: Who pays: the same in each attempt of a job.

        Returns:
            The payment. None: there is less to pay.
        """
        ...

    async def payouts(self, payout_id: str) -> Sequence[PaidOut]:
        """Return the payments of a payout, by user and currency."""
        ...

    async def statistics(self, user_id: str, currency: str) -> ReferralStatistics:
        """Return what a referrer achieved."""
        ...

    async def close(self) -> None:
        """Let go of connections, if they are its own. Twice is fine."""
        ...


def check_refund(booked: Order, asked: Order) -> None:
    """Refuse a refund of another amount or currency than was paid.

    Raises:
        RefundMismatchError: It is.
    """
    if (booked.amount_minor, booked.currency) != (asked.amount_minor, asked.currency):
        raise RefundMismatchError(
            f"order {asked.order_id[:100]!r}: a refund of {asked.amount_minor} {asked.currency},"
            f" but {booked.amount_minor} {booked.currency} were paid: only whole orders are"
            " refunded"
        )
