"""The commissions, by workers, on both stores of jobs and both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril import App, InvalidOptionError, InvalidPayloadError
from toril.library.referrals import ReferralSettings, from_decimals, payout_from_decimals
from toril.library.referrals.commission import commissions, share
from toril.library.referrals.paying import least_minor
from toril.library.referrals.tasks import commission, payout, referrals
from toril.services.referrals.memory import MemoryReferrals
from toril.services.referrals.port import Booking, Due, Order, Referrals, ReferralStatistics
from toril.services.referrals.sql import SqlReferrals

PAID: dict[str, Any] = {
    "orderId": "o1",
    "buyerId": "buyer",
    "referrerId": "ann",
    "orderAmountMinor": 5099,
    "currency": "USD",
    "eventType": "order_paid",
}
ARGUMENTS: dict[str, Any] = {
    "order_id": "o1",
    "buyer_id": "buyer",
    "referrer_id": "ann",
    "order_amount_minor": 5099,
    "currency": "USD",
    "event_type": "order_paid",
}


class Shaky(MemoryReferrals):
    """A database that books, but whose answer is lost the first time."""

    lost = False

    async def book(self, order: Order, due: Sequence[Due], *, key: str) -> Booking:
        booking = await super().book(order, due, key=key)
        if not self.lost:
            self.lost = True
            raise OSError("the connection was lost")
        return booking


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    made = App(url)
    made.include(referrals)
    yield made
    await made.close()


async def run(app: App, payload: dict[str, Any]) -> Any:
    job = await app.queue("referral-commission").add("referrals.commission", payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.result if info.state == "completed" else info.failed_reason


def provide(app: App, store: Referrals, settings: ReferralSettings | None = None) -> None:
    app.provide(store, Referrals)
    app.provide(settings or ReferralSettings())


async def test_both_levels_earn_and_the_remainder_stays(app: App) -> None:
    store = MemoryReferrals()
    provide(app, store)
    await store.refer("ann", "top")

    result = await run(app, PAID)

    assert result == {
        "orderId": "o1",
        "eventType": "order_paid",
        "currency": "USD",
        "booked": True,
        "entries": [
            {"level": 1, "userId": "ann", "amountMinor": 509, "rateBasisPoints": 1000},
            {"level": 2, "userId": "top", "amountMinor": 101, "rateBasisPoints": 200},
        ],
        "skipped": [],
    }


async def test_second_job_of_an_order_changes_nothing(app: App) -> None:
    store = MemoryReferrals()
    provide(app, store)

    first = await run(app, PAID)
    again = await run(app, {**PAID, "orderAmountMinor": 99, "referrerId": "bob"})

    assert (first["booked"], again["booked"]) == (True, False)
    assert first["entries"] == again["entries"]
    assert await store.balance("bob", "USD") == 0


async def test_refund_is_whole_and_once(app: App) -> None:
    store = MemoryReferrals()
    provide(app, store)
    await run(app, PAID)

    part = await run(app, {**PAID, "eventType": "order_refunded", "orderAmountMinor": 1})
    whole = await run(app, {**PAID, "eventType": "order_refunded"})
    again = await run(app, {**PAID, "eventType": "order_refunded"})

    assert "only whole orders are refunded" in part
    assert whole["entries"] == [
        {"level": 1, "userId": "ann", "amountMinor": -509, "rateBasisPoints": 1000}
    ]
    assert (whole["booked"], again["booked"]) == (True, False)
    assert await store.balance("ann", "USD") == 0


async def test_refund_first_says_why_nothing_is_earned(app: App) -> None:
    provide(app, MemoryReferrals())

    refund = await run(app, {**PAID, "eventType": "order_refunded"})
    paid = await run(app, PAID)

    assert refund["skipped"] == [{"level": 1, "userId": None, "reason": "not_paid"}]
    assert (refund["booked"], paid["booked"], paid["entries"]) == (True, False, [])
    assert paid["skipped"] == [{"level": 1, "userId": None, "reason": "refunded"}]


async def test_lost_answer_still_tells_the_referrer_once(app: App) -> None:
    """The job that booked is tried again, and its first attempt has told nobody."""
    told: list[dict[str, Any]] = []

    @app.task(name="shop.earned", rename="camel")
    async def earned(
        user_id: str, order_id: str, level: int, amount_minor: int, currency: str
    ) -> None:
        told.append({"user": user_id, "minor": amount_minor, "level": level, "is": currency})

    store = Shaky()
    provide(app, store, ReferralSettings(earned_task="shop.earned"))
    quick = app.bound(commission).with_options(backoff_s=0.0)
    job = await quick.enqueue("o1", "buyer", "ann", 1000, "USD", "order_paid")
    await app.worker().run(until_idle=True)
    other = await quick.enqueue("o1", "buyer", "ann", 1000, "USD", "order_paid")
    await app.worker().run(until_idle=True)

    assert ((await job.info()).attempts_made, (await other.info()).state) == (2, "completed")
    assert told == [{"user": "ann", "minor": 100, "level": 1, "is": "USD"}]
    assert await store.balance("ann", "USD") == 100


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_twenty_jobs_at_once_book_an_order_once(
    app: App, database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_database")
    store = SqlReferrals(url)
    provide(app, store)
    await store.refer("ann", "top")
    queue = app.queue("referral-commission")
    jobs = [await queue.add("referrals.commission", PAID) for _ in range(20)]

    await app.worker(concurrency=20).run(until_idle=True)

    results = [(await job.info()).result for job in jobs]
    assert sum(one["booked"] for one in results) == 1
    entries = await store.entries("o1")
    assert [(one.level, one.amount_minor) for one in entries] == [(1, 509), (2, 101)]
    assert await store.statistics("ann", "USD") == ReferralStatistics(
        referrals=1, orders=1, earned_minor=509
    )
    assert await store.balance("top", "USD") == 101
    await store.close()


@pytest.mark.parametrize("amount", [0, -1, 10.5, "10"])
async def test_amounts_that_are_none_are_refused_at_the_door(app: App, amount: Any) -> None:
    with pytest.raises(InvalidPayloadError) as refused:
        await app.bound(commission).enqueue(**{**ARGUMENTS, "order_amount_minor": amount})
    assert refused.value.field == "orderAmountMinor"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("currency", "currency", "usd"),
        ("rate_basis_points", "rateBasisPoints", 10_001),
        ("event_type", "eventType", "order_lost"),
        ("order_id", "orderId", ""),
        ("commission_minor", "commissionMinor", -1),
    ],
)
async def test_bad_fields_are_refused_at_the_door(
    app: App, name: str, field: str, value: Any
) -> None:
    with pytest.raises(InvalidPayloadError) as refused:
        await app.bound(commission).enqueue(**{**ARGUMENTS, name: value})
    assert refused.value.field == field


async def test_bad_payload_of_another_program_fails_once(app: App) -> None:
    provide(app, MemoryReferrals())

    error = await run(app, {**PAID, "orderAmountMinor": "10"})

    assert "orderAmountMinor" in error


async def test_commission_above_the_order_fails_at_once(app: App) -> None:
    store = MemoryReferrals()
    provide(app, store)

    error = await run(app, {**PAID, "commissionMinor": 5100})

    assert "commissionMinor '5100': more than the order's 5099" in error
    assert list(await store.entries("o1")) == []


async def test_payload_in_decimals_is_booked_as_it_says(app: App) -> None:
    """What a published marketplace sends, as it stands."""
    store = MemoryReferrals()
    provide(app, store)
    await store.refer("u2", "u3")
    app.bind(
        "referral-commission",
        commission,
        names="calculate-commission",
        adapter=from_decimals,
        rename="camel",
    )
    sample: dict[str, Any] = {
        "referralId": "r1",
        "referrerId": "u2",
        "buyerId": "u1",
        "productId": "p1",
        "purchaseId": "o1",
        "amount": 50,
        "commissionRate": 0.1,
        "commissionAmount": 5.25,
        "currency": "USD",
    }
    queue = app.queue("referral-commission")
    given = await queue.add("calculate-commission", sample)
    rated = await queue.add(
        "calculate-commission",
        {**sample, "purchaseId": "o2", "commissionAmount": None, "commissionRate": 0.125},
    )
    with pytest.raises(InvalidPayloadError, match="USD has 2 digits"):
        await queue.add("calculate-commission", {**sample, "amount": 0.125})
    with pytest.raises(InvalidPayloadError, match="commissionRate"):
        await queue.add(
            "calculate-commission", {**sample, "commissionAmount": None, "commissionRate": 1.5}
        )

    await app.worker().run(until_idle=True)

    amounts = [
        [one["amountMinor"] for one in (await job.info()).result["entries"]]
        for job in (given, rated)
    ]
    assert amounts == [[525, 100], [625, 100]]


def test_referring_oneself_pays_nobody() -> None:
    due, skipped = commissions(1000, buyer_id="a", chain=["a", "b"], rates=(1000, 200))

    assert (due, skipped) == ([], [(1, "a", "self_referral")])


@pytest.mark.parametrize("above", ["buyer", "ann"])
def test_circle_ends_the_chain(above: str) -> None:
    due, skipped = commissions(1000, buyer_id="buyer", chain=["ann", above], rates=(1000, 200))

    assert [(one.level, one.user_id, one.amount_minor) for one in due] == [(1, "ann", 100)]
    assert skipped == [(2, above, "cycle")]


def test_less_than_the_smallest_unit_is_nothing() -> None:
    due, skipped = commissions(60, buyer_id="b", chain=["a", "t"], rates=(100, 200))

    assert [(one.level, one.amount_minor) for one in due] == [(2, 1)]
    assert skipped == [(1, "a", "nothing_due")]


@given(
    amount=st.integers(min_value=1, max_value=2**53 - 1),
    first=st.integers(min_value=0, max_value=10_000),
    second=st.integers(min_value=0, max_value=10_000),
)
def test_parts_never_exceed_the_whole(amount: int, first: int, second: int) -> None:
    due, skipped = commissions(amount, buyer_id="b", chain=["a", "t"], rates=(first, second))

    assert len(due) + len(skipped) == 2
    assert 0 <= sum(one.amount_minor for one in due) <= amount
    for one in due:
        exact = amount * one.rate_basis_points
        assert one.amount_minor * 10_000 <= exact
        if one.level == 1:
            assert exact - one.amount_minor * 10_000 < 10_000
    assert share(amount, 10_000) == amount


@pytest.mark.parametrize("rates", [(), (1, 2, 3), (-1,), (10_001,), (9000, 1001), (0.1,)])
def test_rates_that_make_no_sense_are_refused(rates: Any) -> None:
    with pytest.raises(InvalidOptionError, match="rates_basis_points"):
        ReferralSettings(rates_basis_points=rates)
    assert ReferralSettings(rates_basis_points=(9000, 1000)).rates_basis_points == (9000, 1000)


def test_task_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="earned_task"):
        ReferralSettings(earned_task="")


PERIOD: dict[str, Any] = {"periodStart": "2020-01-01", "periodEnd": "2999-08-31"}


def lent(number: int) -> Order:
    return Order(order_id=f"o{number}", buyer_id="b", currency="USD", amount_minor=100_000)


async def owe(store: Referrals, **amounts: int) -> None:
    for number, (user, amount) in enumerate(amounts.items()):
        one = Due(level=1, user_id=user, amount_minor=amount, rate_basis_points=1000)
        await store.book(lent(number), [one], key="k")


async def pay(app: App, payload: dict[str, Any]) -> Any:
    job = await app.queue("referral-commission").add("referrals.payout", payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.result if info.state == "completed" else info.failed_reason


async def test_all_are_paid_once_and_the_app_is_told_once(app: App) -> None:
    told: list[tuple[str, int, str | None]] = []

    @app.task(name="shop.transfer", rename="camel")
    async def transfer(payout_id: str, payouts: int, payment_method: str | None) -> None:
        told.append((payout_id, payouts, payment_method))

    store = MemoryReferrals()
    provide(app, store, ReferralSettings(payout_task="shop.transfer"))
    await owe(store, ann=5000, bob=4999, zoe=7000)

    first = await pay(app, {**PERIOD, "paymentMethod": "bank"})
    again = await pay(app, {**PERIOD, "minimum": "0"})

    period = "2020-01-01T00:00:00+00:00/2999-09-01T00:00:00+00:00"
    assert first == {
        "payoutId": period,
        "periodStart": "2020-01-01T00:00:00+00:00",
        "periodEnd": "2999-09-01T00:00:00+00:00",
        "booked": 2,
        "paid": [{"currency": "USD", "payouts": 2, "amountMinor": 12_000}],
        "belowMinimum": 1,
    }
    assert (again["booked"], again["belowMinimum"]) == (1, 0)  # bob's, now that it is enough
    assert again["paid"] == [{"currency": "USD", "payouts": 3, "amountMinor": 16_999}]
    assert told == [(period, 2, "bank"), (period, 1, None)]
    assert [await store.balance(user, "USD") for user in ("ann", "bob", "zoe")] == [0, 0, 0]


async def test_one_referrer_is_paid_and_nobody_else(app: App) -> None:
    store = MemoryReferrals()
    provide(app, store)
    await owe(store, ann=5000, zoe=7000)

    one = await pay(app, {**PERIOD, "referrerId": "ann", "payoutId": "august"})
    everybody = await pay(app, {**PERIOD, "payoutId": "august"})
    ann = await pay(app, {**PERIOD, "referrerId": "ann", "payoutId": "august"})

    assert one["paid"] == [{"currency": "USD", "payouts": 1, "amountMinor": 5000}]
    assert (everybody["booked"], everybody["paid"][0]["amountMinor"]) == (1, 12_000)
    assert (ann["booked"], ann["paid"]) == (0, one["paid"])


class Dying(MemoryReferrals):
    """A database that goes away after the first payment."""

    paid = 0

    async def pay_out(self, *args: Any, **kwargs: Any) -> Any:
        self.paid += 1
        if self.paid == 2:
            raise OSError("the connection was lost")
        return await super().pay_out(*args, **kwargs)


async def test_payout_that_was_cut_off_goes_on_and_tells_of_all(app: App) -> None:
    told: list[int] = []

    @app.task(name="shop.transfer", rename="camel")
    async def transfer(payout_id: str, payouts: int, payment_method: str | None) -> None:
        told.append(payouts)

    store = Dying()
    provide(app, store, ReferralSettings(payout_task="shop.transfer"))
    await owe(store, ann=5000, zoe=7000)
    quick = app.bound(payout).with_options(backoff_s=0.0)
    job = await quick.enqueue("2020-01-01", "2999-01-01")
    await app.worker().run(until_idle=True)
    info = await job.info()

    assert (info.attempts_made, info.result["booked"], told) == (2, 2, [2])
    assert [one.amount_minor for one in await store.payouts(info.result["payoutId"])] == [
        5000,
        7000,
    ]


async def test_payouts_of_published_producers_are_booked(app: App, tmp_path: Path) -> None:
    store = SqlReferrals(f"sqlite:///{tmp_path}/shop.db")
    provide(app, store)
    await owe(store, ann=5000, zoe=7000, bob=6999)
    app.bind(
        "referral-commission",
        payout,
        names=["process-commission-payout", "bulk-commission-payouts"],
        adapter=payout_from_decimals,
        rename="camel",
    )
    period = {"periodStart": "2025-08-01T00:00:00.000Z", "periodEnd": "2999-08-31T23:59:59.000Z"}
    queue = app.queue("referral-commission")
    single = await queue.add(
        "process-commission-payout",
        {**period, "referrerId": "ann", "minimumPayout": 50, "paymentMethod": "paypal"},
    )
    await app.worker().run(until_idle=True)
    several = await queue.add("bulk-commission-payouts", {**period, "minimumPayout": 69.995})
    await app.worker().run(until_idle=True)
    with pytest.raises(InvalidPayloadError, match="minimumPayout"):
        await queue.add("bulk-commission-payouts", {**period, "minimumPayout": -1})
    with pytest.raises(InvalidPayloadError, match="minimumPayout"):
        await queue.add("bulk-commission-payouts", {**period, "minimumPayout": "much"})

    results = [(await job.info()).result for job in (single, several)]
    assert [one["booked"] for one in results] == [1, 1]
    assert results[1]["belowMinimum"] == 1  # 69.99 USD is less than 69.995
    assert results[1]["periodEnd"] == "2999-09-01T00:00:00+00:00"
    found = await store.payouts(results[0]["payoutId"])
    assert [(one.user_id, one.amount_minor, one.method) for one in found] == [
        ("ann", 5000, "paypal"),
        ("zoe", 7000, None),
    ]
    await store.close()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"periodStart": "2999-09-02"}, "periodEnd '2999-08-31': expected an end after the start"),
        ({"periodStart": "some day ago"}, "periodStart 'some day ago': expected a date"),
        ({"minimum": "-1"}, "minimum"),
    ],
)
async def test_payout_that_makes_no_sense_fails_at_once(
    app: App, more: dict[str, Any], said: str
) -> None:
    provide(app, MemoryReferrals())

    job = await app.queue("referral-commission").add("referrals.payout", {**PERIOD, **more})
    await app.worker().run(until_idle=True)
    info = await job.info()

    assert said in (info.failed_reason or "")
    assert info.attempts_made == 1


@pytest.mark.parametrize(
    ("minimum", "currency", "least"),
    [
        ("50", "USD", 5000), ("50", "JPY", 50), ("0", "USD", 1), ("0.001", "USD", 1),
        ("69.995", "USD", 7000), ("1", "BTC", 100_000_000), ("2", "POINTS", 2),
    ],
)  # fmt: skip
def test_minimum_is_rounded_up_to_the_smallest_unit(
    minimum: str, currency: str, least: int
) -> None:
    assert least_minor(minimum, currency) == least


@pytest.mark.parametrize("minimum", ["", "-1", "1.", "ten", "1e3"])
def test_minimum_that_makes_no_sense_is_refused(minimum: str) -> None:
    with pytest.raises(InvalidOptionError, match="minimum_payout"):
        ReferralSettings(minimum_payout=minimum)
    with pytest.raises(InvalidOptionError, match="payout_task"):
        ReferralSettings(payout_task="")
