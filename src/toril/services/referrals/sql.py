"""Referrals in SQLite or PostgreSQL, by SQLAlchemy: the family `referrals` of `services/records`.

Each booking is one transaction. It begins with the order's row, for which a second booking of the
same order waits, and then finds it. Referrers' rows are changed in the order of their ids, so that
two orders with the same referrers never wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from toril.core.clock import Clock, SystemClock, moment
from toril.services.referrals.port import (
    Booking,
    Due,
    Entry,
    EntryKind,
    Order,
    OrderState,
    PaidOut,
    Payout,
    ReferralStatistics,
    check_refund,
)
from toril.services.referrals.tables import (
    BALANCES,
    ENTRIES,
    ORDERS,
    PAYOUTS,
    REFERRALS,
    REFERRERS,
)

try:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("referrals in a database need SQLAlchemy", "records") from error


class SqlReferrals:
    """Fulfils `Referrals`, in a database that is opened when it is first asked.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///shop.db` or `postgresql://user:password@host/database`.
        clock: Where `booked_at` comes from.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(self, database: Records | str, *, clock: Clock | None = None) -> None:
        self._owns = isinstance(database, str)
        self._records = Records(database) if isinstance(database, str) else database
        self._clock = clock or SystemClock()

    async def refer(self, user_id: str, referrer_id: str) -> bool:
        """Note who referred a user: see `Referrals.refer`."""
        row = {"user_id": user_id, "referrer_id": referrer_id}
        await self._records.prepare(REFERRALS)
        adding = self._records.insert_missing(REFERRERS, row).returning(REFERRERS.c.user_id)
        async with self._records.begin() as connection:
            return (await connection.execute(adding)).first() is not None

    async def referrer_of(self, user_id: str) -> str | None:
        """Return who referred a user."""
        query = sa.select(REFERRERS.c.referrer_id).where(REFERRERS.c.user_id == user_id)
        await self._records.prepare(REFERRALS)
        async with self._records.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def book(self, order: Order, due: Sequence[Due], *, key: str) -> Booking:
        """Book commissions: see `Referrals.book`."""
        await self._records.prepare(REFERRALS)
        async with self._records.begin() as connection:
            if await self._claim(connection, order, state="paid", paid_by=key):
                await self._add_commissions(connection, order, due)
            found = await _order(connection, order.order_id)
            return Booking(
                mine=found["paid_by"] == key,
                state=cast("OrderState", found["state"]),
                entries=await _entries(connection, order.order_id),
            )

    async def refund(self, order: Order, *, key: str) -> Booking:
        """Take commissions back: see `Referrals.refund`."""
        await self._records.prepare(REFERRALS)
        async with self._records.begin() as connection:
            if not await self._claim(connection, order, state="refunded", refunded_by=key):
                await self._take_back(connection, order, key)
            found = await _order(connection, order.order_id)
            return Booking(
                mine=found["refunded_by"] == key,
                state="refunded",
                entries=await _entries(connection, order.order_id),
            )

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """Return the entries of an order."""
        await self._records.prepare(REFERRALS)
        async with self._records.reading() as connection:
            return await _entries(connection, order_id)

    async def balance(self, user_id: str, currency: str) -> int:
        """Return a balance: see `Referrals.balance`."""
        row = await self._row(user_id, currency)
        return 0 if row is None else int(row["amount_minor"])

    async def statistics(self, user_id: str, currency: str) -> ReferralStatistics:
        """Return what a referrer achieved."""
        row = await self._row(user_id, currency)
        if row is None:
            return ReferralStatistics()
        return ReferralStatistics(
            referrals=row["referrals"],
            orders=row["orders"],
            earned_minor=row["earned_minor"],
            refunded_minor=row["refunded_minor"],
        )

    async def accounts(
        self, user_id: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 500
    ) -> Sequence[tuple[str, str]]:
        """Return accounts with something in them: see `Referrals.accounts`."""
        user, currency = BALANCES.c.user_id, BALANCES.c.currency
        later = sa.or_(user > after[0], sa.and_(user == after[0], currency > after[1]))
        query = sa.select(user, currency).where(BALANCES.c.amount_minor > 0, later)
        if user_id is not None:
            query = query.where(user == user_id)
        await self._records.prepare(REFERRALS)
        async with self._records.reading() as connection:
            found = await connection.execute(query.order_by(user, currency).limit(limit))
            return [(row.user_id, row.currency) for row in found]

    async def pay_out(
        self, payout: Payout, user_id: str, currency: str, *, least_minor: int, key: str
    ) -> PaidOut | None:
        """Book a payment: see `Referrals.pay_out`."""
        account = {"user_id": user_id, "currency": currency}
        await self._records.prepare(REFERRALS)
        async with self._records.begin() as connection:
            # This locks the account's row: other bookings and payouts of it wait.
            locking = sa.select(BALANCES.c.amount_minor).where(_of(BALANCES, account))
            balance = (await connection.execute(locking.with_for_update())).scalar_one_or_none()
            if balance is None:
                return None
            name = sa.and_(PAYOUTS.c.payout_id == payout.payout_id, _of(PAYOUTS, account))
            query = sa.select(PAYOUTS).where(name)
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is not None:
                return _paid(dict(row), key)
            end_ms = _milliseconds(payout.end)
            before = ENTRIES.c.booked_at_ms < end_ms
            earned = await _sum(connection, ENTRIES, account, before)
            amount = min(balance, earned - await _sum(connection, PAYOUTS, account))
            if amount < least_minor:
                return None
            made = {
                **account,
                "payout_id": payout.payout_id,
                "amount_minor": amount,
                "start_ms": _milliseconds(payout.start),
                "end_ms": end_ms,
                "method": payout.method,
                "booked_by": key,
                "booked_at_ms": self._clock.now_ms(),
            }
            await connection.execute(sa.insert(PAYOUTS).values(made))
            less = sa.update(BALANCES).where(_of(BALANCES, account))
            await connection.execute(less.values(amount_minor=balance - amount))
            return _paid(made, key)

    async def payouts(self, payout_id: str) -> Sequence[PaidOut]:
        """Return the payments of a payout."""
        query = sa.select(PAYOUTS).where(PAYOUTS.c.payout_id == payout_id)
        await self._records.prepare(REFERRALS)
        async with self._records.reading() as connection:
            found = await connection.execute(query.order_by(PAYOUTS.c.user_id, PAYOUTS.c.currency))
            return [_paid(dict(row)) for row in found.mappings()]

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()

    async def _claim(self, connection: AsyncConnection, order: Order, **first: str) -> bool:
        """Add the order's row; return whether it was not there. A second caller waits here."""
        row = {
            "order_id": order.order_id,
            "buyer_id": order.buyer_id,
            "currency": order.currency,
            "amount_minor": order.amount_minor,
            **first,
        }
        adding = self._records.insert_missing(ORDERS, row).returning(ORDERS.c.order_id)
        return (await connection.execute(adding)).first() is not None

    async def _add_commissions(
        self, connection: AsyncConnection, order: Order, due: Sequence[Due]
    ) -> None:
        now_ms = self._clock.now_ms()
        for one in sorted(due, key=lambda each: each.user_id):
            account = {"user_id": one.user_id, "currency": order.currency}
            zeros = {"amount_minor": 0, "referrals": 0, "orders": 0}
            fresh = {**account, **zeros, "earned_minor": 0, "refunded_minor": 0}
            await connection.execute(self._records.insert_missing(BALANCES, fresh))
            # This locks the account's row. What other bookings of it have added is seen after it.
            await connection.execute(
                sa.update(BALANCES)
                .where(_of(BALANCES, account))
                .values(
                    amount_minor=BALANCES.c.amount_minor + one.amount_minor,
                    earned_minor=BALANCES.c.earned_minor + one.amount_minor,
                    orders=BALANCES.c.orders + 1,
                )
            )
            if one.level == 1 and not await _bought_before(connection, order.buyer_id, account):
                more = {"referrals": BALANCES.c.referrals + 1}
                changing = sa.update(BALANCES).where(_of(BALANCES, account)).values(more)
                await connection.execute(changing)
            entry = {
                **account,
                "order_id": order.order_id,
                "level": one.level,
                "kind": "commission",
                "buyer_id": order.buyer_id,
                "amount_minor": one.amount_minor,
                "rate_basis_points": one.rate_basis_points,
                "booked_at_ms": now_ms,
            }
            await connection.execute(sa.insert(ENTRIES).values(entry))

    async def _take_back(self, connection: AsyncConnection, order: Order, key: str) -> None:
        booked = await _order(connection, order.order_id)
        if booked["state"] != "paid":
            return
        paid = Order(
            order_id=order.order_id,
            buyer_id=booked["buyer_id"],
            currency=booked["currency"],
            amount_minor=booked["amount_minor"],
        )
        check_refund(paid, order)
        changing = (
            sa.update(ORDERS)
            .where(ORDERS.c.order_id == order.order_id, ORDERS.c.state == "paid")
            .values(state="refunded", refunded_by=key)
        )
        if (await connection.execute(changing)).rowcount != 1:
            return  # another refund was first
        query = sa.select(ENTRIES).where(ENTRIES.c.order_id == order.order_id)
        rows = (await connection.execute(query.order_by(ENTRIES.c.user_id))).mappings().all()
        for row in map(dict, rows):
            amount = row["amount_minor"]
            await connection.execute(
                sa.update(BALANCES)
                .where(_of(BALANCES, row))
                .values(
                    amount_minor=BALANCES.c.amount_minor - amount,
                    refunded_minor=BALANCES.c.refunded_minor + amount,
                )
            )
            opposite = {"kind": "refund", "amount_minor": -amount}
            entry = {**row, **opposite, "booked_at_ms": self._clock.now_ms()}
            await connection.execute(sa.insert(ENTRIES).values(entry))

    async def _row(self, user_id: str, currency: str) -> Mapping[str, Any] | None:
        query = sa.select(BALANCES).where(_of(BALANCES, {"user_id": user_id, "currency": currency}))
        await self._records.prepare(REFERRALS)
        async with self._records.reading() as connection:
            found = (await connection.execute(query)).mappings().first()
            return None if found is None else dict(found)


def _of(table: sa.Table, account: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.user_id == account["user_id"], table.c.currency == account["currency"])


async def _bought_before(
    connection: AsyncConnection, buyer_id: str, account: Mapping[str, Any]
) -> bool:
    query = (
        sa.select(ENTRIES.c.order_id)
        .where(_of(ENTRIES, account), ENTRIES.c.buyer_id == buyer_id, ENTRIES.c.level == 1)
        .limit(1)
    )
    return (await connection.execute(query)).first() is not None


async def _order(connection: AsyncConnection, order_id: str) -> Mapping[str, Any]:
    query = sa.select(ORDERS).where(ORDERS.c.order_id == order_id)
    return dict((await connection.execute(query)).mappings().one())


async def _entries(connection: AsyncConnection, order_id: str) -> list[Entry]:
    query = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.order_id == order_id)
        .order_by(ENTRIES.c.level, ENTRIES.c.kind)
    )
    return [
        Entry(
            order_id=row["order_id"],
            level=row["level"],
            kind=cast("EntryKind", row["kind"]),
            user_id=row["user_id"],
            currency=row["currency"],
            amount_minor=row["amount_minor"],
            rate_basis_points=row["rate_basis_points"],
            booked_at=moment(row["booked_at_ms"]),
        )
        for row in (await connection.execute(query)).mappings().all()
    ]


def _paid(row: Mapping[str, Any], key: str | None = None) -> PaidOut:
    return PaidOut(
        payout_id=row["payout_id"],
        user_id=row["user_id"],
        currency=row["currency"],
        amount_minor=row["amount_minor"],
        method=row["method"],
        booked_at=moment(row["booked_at_ms"]),
        mine=row["booked_by"] == key,
    )


async def _sum(
    connection: AsyncConnection,
    table: sa.Table,
    account: Mapping[str, Any],
    *holds: sa.ColumnElement[bool],
) -> int:
    query = sa.select(sa.func.sum(table.c.amount_minor)).where(_of(table, account), *holds)
    return int((await connection.execute(query)).scalar_one() or 0)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
