"""What every store of referrals promises, on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from toril.core.clock import moment
from toril.services.referrals.memory import MemoryReferrals
from toril.services.referrals.port import (
    Due,
    Order,
    PaidOut,
    Payout,
    Referrals,
    ReferralStatistics,
    RefundMismatchError,
)
from toril.services.referrals.sql import SqlReferrals
from toril.testing.clock import ManualClock


def order(number: int, *, buyer: str = "buyer", amount: int = 5000, currency: str = "USD") -> Order:
    return Order(order_id=f"o{number}", buyer_id=buyer, currency=currency, amount_minor=amount)


def due(user_id: str, amount: int, level: int = 1) -> Due:
    return Due(level=level, user_id=user_id, amount_minor=amount, rate_basis_points=1000)


@pytest.fixture
async def store(database: str | None, clock: ManualClock) -> AsyncIterator[Referrals]:
    made: Referrals
    made = MemoryReferrals(clock=clock) if database is None else SqlReferrals(database, clock=clock)
    yield made
    await made.close()


async def test_first_referrer_stays(store: Referrals) -> None:
    first = await store.refer("jo", "ann")
    again = await store.refer("jo", "bob")

    assert (first, again) == (True, False)
    assert await store.referrer_of("jo") == "ann"
    assert await store.referrer_of("ann") is None


async def test_entries_balances_and_statistics_are_booked_together(
    store: Referrals, clock: ManualClock
) -> None:
    booking = await store.book(order(1), [due("zoe", 500), due("ann", 100, 2)], key="k1")

    assert (booking.mine, booking.state) == (True, "paid")
    assert booking.entries == await store.entries("o1")
    assert [
        (one.level, one.kind, one.user_id, one.currency, one.amount_minor, one.rate_basis_points)
        for one in booking.entries
    ] == [(1, "commission", "zoe", "USD", 500, 1000), (2, "commission", "ann", "USD", 100, 1000)]
    assert booking.entries[0].booked_at == moment(clock.now_ms())
    assert await store.balance("zoe", "USD") == 500
    assert await store.statistics("zoe", "USD") == ReferralStatistics(
        referrals=1, orders=1, earned_minor=500
    )
    assert await store.statistics("ann", "USD") == ReferralStatistics(orders=1, earned_minor=100)


async def test_order_is_booked_once_for_ever(store: Referrals) -> None:
    first = await store.book(order(1), [due("zoe", 500)], key="k1")
    same = await store.book(order(1), [due("zoe", 500)], key="k1")
    other = await store.book(order(1, buyer="else"), [due("bob", 7)], key="k2")

    assert (first.mine, same.mine, other.mine) == (True, True, False)
    assert first.entries == same.entries == other.entries
    assert await store.balance("zoe", "USD") == 500
    assert await store.balance("bob", "USD") == 0


async def test_buyers_are_counted_once_and_currencies_apart(store: Referrals) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")
    await store.book(order(2), [due("zoe", 50)], key="k")
    await store.book(order(3, buyer="other"), [due("zoe", 5)], key="k")
    await store.book(order(4, currency="EUR"), [due("zoe", 1)], key="k")

    assert await store.statistics("zoe", "USD") == ReferralStatistics(
        referrals=2, orders=3, earned_minor=555
    )
    assert await store.statistics("zoe", "EUR") == ReferralStatistics(
        referrals=1, orders=1, earned_minor=1
    )
    assert await store.statistics("nobody", "USD") == ReferralStatistics()


async def test_refund_posts_the_opposite_once(store: Referrals, clock: ManualClock) -> None:
    await store.book(order(1), [due("zoe", 500), due("ann", 100, 2)], key="k1")
    clock.advance(60)

    first = await store.refund(order(1), key="r1")
    same = await store.refund(order(1), key="r1")
    other = await store.refund(order(1), key="r2")

    assert (first.mine, same.mine, other.mine) == (True, True, False)
    assert [(one.level, one.kind, one.amount_minor) for one in other.entries] == [
        (1, "commission", 500),
        (1, "refund", -500),
        (2, "commission", 100),
        (2, "refund", -100),
    ]
    assert [one.booked_at for one in first.entries[:2]] == [
        moment(clock.now_ms() - 60_000),
        moment(clock.now_ms()),
    ]
    assert await store.balance("zoe", "USD") == 0
    assert await store.statistics("zoe", "USD") == ReferralStatistics(
        referrals=1, orders=1, earned_minor=500, refunded_minor=500
    )


async def test_refund_before_the_payment_leaves_nothing_to_earn(store: Referrals) -> None:
    refund = await store.refund(order(1), key="r1")
    late = await store.book(order(1), [due("zoe", 500)], key="k1")

    assert (refund.mine, list(refund.entries)) == (True, [])
    assert (late.mine, late.state, list(late.entries)) == (False, "refunded", [])
    assert await store.balance("zoe", "USD") == 0


@pytest.mark.parametrize("other", [order(1, amount=4999), order(1, currency="EUR")])
async def test_refund_of_another_amount_changes_nothing(store: Referrals, other: Order) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k1")

    with pytest.raises(RefundMismatchError, match=r"but 5000 USD were paid"):
        await store.refund(other, key="r1")

    assert await store.balance("zoe", "USD") == 500
    assert (await store.refund(order(1), key="r2")).mine


async def test_bookings_at_once_lose_and_double_nothing(store: Referrals) -> None:
    """Referrers meet in both orders of levels, and each order comes twice."""
    bookings = await asyncio.gather(
        *(
            store.book(
                order(number, buyer=f"b{number % 3}"),
                [due("ann", 10), due("zoe", 1, 2)]
                if number % 2
                else [due("zoe", 10), due("ann", 1, 2)],
                key=f"{number}-{turn}",
            )
            for number in range(12)
            for turn in range(2)
        )
    )

    assert sum(one.mine for one in bookings) == 12
    for user in ("ann", "zoe"):
        assert await store.balance(user, "USD") == 66
        assert await store.statistics(user, "USD") == ReferralStatistics(
            referrals=3, orders=12, earned_minor=66
        )


async def test_refunds_at_once_take_back_once(store: Referrals) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k1")

    refunds = await asyncio.gather(*(store.refund(order(1), key=f"r{n}") for n in range(8)))

    assert sum(one.mine for one in refunds) == 1
    assert await store.balance("zoe", "USD") == 0


def payout(clock: ManualClock, name: str = "p1", *, ends_in_s: float = 1) -> Payout:
    now_ms = clock.now_ms()
    end = moment(now_ms + round(ends_in_s * 1000))
    return Payout(payout_id=name, start=moment(0), end=end, method="bank")


async def test_account_is_paid_once_for_a_payout(store: Referrals, clock: ManualClock) -> None:
    await store.book(order(1), [due("zoe", 500), due("ann", 100, 2)], key="k")
    one = payout(clock)

    paid = await store.pay_out(one, "zoe", "USD", least_minor=1, key="a")
    await store.book(order(2), [due("zoe", 70)], key="k")
    again = await store.pay_out(one, "zoe", "USD", least_minor=1, key="a")
    other = await store.pay_out(one, "zoe", "USD", least_minor=1, key="b")

    assert paid == PaidOut(
        payout_id="p1",
        user_id="zoe",
        currency="USD",
        amount_minor=500,
        method="bank",
        booked_at=moment(clock.now_ms()),
        mine=True,
    )
    assert again == paid
    assert other is not None
    assert (other.mine, other.amount_minor) == (False, 500)
    assert [(p.user_id, p.amount_minor, p.mine) for p in await store.payouts("p1")] == [
        ("zoe", 500, False)
    ]
    assert await store.balance("zoe", "USD") == 70
    assert await store.accounts() == [("ann", "USD"), ("zoe", "USD")]
    assert await store.accounts(after=("ann", "USD")) == [("zoe", "USD")]
    assert await store.accounts("ann", limit=1) == [("ann", "USD")]
    assert (await store.statistics("zoe", "USD")).earned_minor == 570


async def test_what_came_after_the_end_is_paid_by_the_next_payout(
    store: Referrals, clock: ManualClock
) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")
    august = payout(clock)
    clock.advance(10)
    await store.book(order(2), [due("zoe", 70)], key="k")
    september = payout(clock, "p2")

    first = await store.pay_out(august, "zoe", "USD", least_minor=1, key="a")
    second = await store.pay_out(september, "zoe", "USD", least_minor=1, key="a")

    assert first is not None
    assert second is not None
    assert (first.amount_minor, second.amount_minor) == (500, 70)
    assert await store.balance("zoe", "USD") == 0
    assert await store.accounts() == []


async def test_less_than_the_minimum_stays(store: Referrals, clock: ManualClock) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")

    too_little = await store.pay_out(payout(clock), "zoe", "USD", least_minor=501, key="a")
    nobody = await store.pay_out(payout(clock), "nobody", "USD", least_minor=1, key="a")
    other = await store.pay_out(payout(clock), "zoe", "EUR", least_minor=1, key="a")
    just = await store.pay_out(payout(clock), "zoe", "USD", least_minor=500, key="a")

    assert (too_little, nobody, other) == (None, None, None)
    assert just is not None


async def test_refund_after_a_payout_is_owed(store: Referrals, clock: ManualClock) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")
    await store.pay_out(payout(clock), "zoe", "USD", least_minor=1, key="a")
    clock.advance(60)
    await store.refund(order(1), key="r")
    await store.book(order(2), [due("zoe", 600)], key="k")

    late = await store.pay_out(payout(clock, "p2"), "zoe", "USD", least_minor=1, key="a")

    assert late is not None
    assert (late.amount_minor, await store.balance("zoe", "USD")) == (100, 0)


async def test_refund_after_the_period_is_not_paid_out(
    store: Referrals, clock: ManualClock
) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")
    await store.book(order(2), [due("zoe", 40)], key="k")
    august = payout(clock)
    clock.advance(60)
    await store.refund(order(1), key="r")

    paid = await store.pay_out(august, "zoe", "USD", least_minor=1, key="a")

    assert paid is not None
    assert (paid.amount_minor, await store.balance("zoe", "USD")) == (40, 0)


async def test_payouts_at_once_pay_once(store: Referrals, clock: ManualClock) -> None:
    await store.book(order(1), [due("zoe", 500)], key="k")

    paid = await asyncio.gather(
        *(
            store.pay_out(payout(clock, f"p{n % 2}"), "zoe", "USD", least_minor=1, key=f"k{n}")
            for n in range(8)
        )
    )

    assert sum(one.mine for one in paid if one is not None) == 1
    assert await store.balance("zoe", "USD") == 0
