"""Referrals in memory, for tests: gone with the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toril.core.clock import Clock, SystemClock, moment
from toril.services.referrals.port import (
    Booking,
    Due,
    Entry,
    Order,
    OrderState,
    PaidOut,
    Payout,
    ReferralStatistics,
    check_refund,
)


@dataclass
class _Booked:
    order: Order
    state: OrderState
    paid_by: str | None = None
    refunded_by: str | None = None
    entries: list[Entry] = field(default_factory=list)


class MemoryReferrals:
    """Fulfils `Referrals`."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._referrers: dict[str, str] = {}
        self._orders: dict[str, _Booked] = {}
        self._paid: dict[tuple[str, str, str], tuple[PaidOut, str]] = {}

    async def refer(self, user_id: str, referrer_id: str) -> bool:
        """Note who referred a user: see `Referrals.refer`."""
        new = user_id not in self._referrers
        self._referrers.setdefault(user_id, referrer_id)
        return new

    async def referrer_of(self, user_id: str) -> str | None:
        """Return who referred a user."""
        return self._referrers.get(user_id)

    async def book(self, order: Order, due: Sequence[Due], *, key: str) -> Booking:
        """Book commissions: see `Referrals.book`."""
        booked = self._orders.get(order.order_id)
        if booked is None:
            booked = self._orders[order.order_id] = _Booked(order, "paid", paid_by=key)
            booked.entries += [self._entry(order, one) for one in due]
        return Booking(
            mine=booked.paid_by == key, state=booked.state, entries=_sorted(booked.entries)
        )

    async def refund(self, order: Order, *, key: str) -> Booking:
        """Take commissions back: see `Referrals.refund`."""
        booked = self._orders.get(order.order_id)
        if booked is None:
            booked = _Booked(order, "refunded", refunded_by=key)
            self._orders[order.order_id] = booked
        elif booked.state == "paid":
            check_refund(booked.order, order)
            now = moment(self._clock.now_ms())
            booked.state, booked.refunded_by = "refunded", key
            booked.entries += [
                replace(one, kind="refund", amount_minor=-one.amount_minor, booked_at=now)
                for one in booked.entries
            ]
        return Booking(
            mine=booked.refunded_by == key, state="refunded", entries=_sorted(booked.entries)
        )

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """Return the entries of an order."""
        booked = self._orders.get(order_id)
        return [] if booked is None else _sorted(booked.entries)

    async def balance(self, user_id: str, currency: str) -> int:
        """Return a balance: see `Referrals.balance`."""
        earned = sum(one.amount_minor for _, one in self._of(user_id, currency))
        return earned - self._paid_to(user_id, currency)

    async def accounts(
        self, user_id: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 500
    ) -> Sequence[tuple[str, str]]:
        """Return accounts with something in them: see `Referrals.accounts`."""
        entries = [one for booked in self._orders.values() for one in booked.entries]
        found = sorted({(one.user_id, one.currency) for one in entries})
        due = [one for one in found if await self.balance(*one) > 0]
        return [one for one in due if one > after and user_id in (None, one[0])][:limit]

    async def pay_out(
        self, payout: Payout, user_id: str, currency: str, *, least_minor: int, key: str
    ) -> PaidOut | None:
        """Book a payment: see `Referrals.pay_out`."""
        name = (payout.payout_id, user_id, currency)
        if name not in self._paid:
            earned = sum(
                one.amount_minor
                for _, one in self._of(user_id, currency)
                if one.booked_at < payout.end
            )
            due = earned - self._paid_to(user_id, currency)
            amount = min(due, await self.balance(user_id, currency))
            if amount < least_minor:
                return None
            paid = PaidOut(
                payout_id=payout.payout_id,
                user_id=user_id,
                currency=currency,
                amount_minor=amount,
                method=payout.method,
                booked_at=moment(self._clock.now_ms()),
                mine=False,
            )
            self._paid[name] = paid, key
        paid, booked_by = self._paid[name]
        return replace(paid, mine=booked_by == key)

    async def payouts(self, payout_id: str) -> Sequence[PaidOut]:
        """Return the payments of a payout."""
        return [self._paid[name][0] for name in sorted(self._paid) if name[0] == payout_id]

    async def statistics(self, user_id: str, currency: str) -> ReferralStatistics:
        """Return what a referrer achieved."""
        found = self._of(user_id, currency)
        earned = [(order, one) for order, one in found if one.kind == "commission"]
        return ReferralStatistics(
            referrals=len({order.buyer_id for order, one in earned if one.level == 1}),
            orders=len(earned),
            earned_minor=sum(one.amount_minor for _, one in earned),
            refunded_minor=-sum(one.amount_minor for _, one in found if one.kind == "refund"),
        )

    async def close(self) -> None:
        """Nothing has to be let go."""

    def _paid_to(self, user_id: str, currency: str) -> int:
        return sum(
            paid.amount_minor
            for paid, _ in self._paid.values()
            if (paid.user_id, paid.currency) == (user_id, currency)
        )

    def _of(self, user_id: str, currency: str) -> list[tuple[Order, Entry]]:
        return [
            (booked.order, one)
            for booked in self._orders.values()
            for one in booked.entries
            if (one.user_id, one.currency) == (user_id, currency)
        ]

    def _entry(self, order: Order, due: Due) -> Entry:
        return Entry(
            order_id=order.order_id,
            level=due.level,
            kind="commission",
            user_id=due.user_id,
            currency=order.currency,
            amount_minor=due.amount_minor,
            rate_basis_points=due.rate_basis_points,
            booked_at=moment(self._clock.now_ms()),
        )


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda one: (one.level, one.kind))
