"""Commissions as a task: `app.include(referrals)`, with `app.provide(store, Referrals)`."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from toril.core.codec import Json
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.analytics.buckets import read_range, zone_of
from toril.library.analytics.payloads import DateRange
from toril.library.referrals.commission import Skip, commissions
from toril.library.referrals.paying import pay_all
from toril.library.referrals.payloads import (
    BasisPoints,
    BookedCommission,
    CommissionResult,
    EventType,
    Id,
    Method,
    Minimum,
    Moment,
    PaidCurrency,
    PayoutResult,
    SkippedLevel,
)
from toril.library.referrals.settings import ReferralSettings
from toril.services.money import MAX_AMOUNT_MINOR, AmountMinor, Currency
from toril.services.referrals.port import (
    Booking,
    Order,
    Payout,
    Referrals,
    RefundMismatchError,
)
from toril.services.unusable import UnusableInputError, named
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 60.0
"""How long one commission may take, in seconds."""
PAYOUT_TIMEOUT_S = 3600.0
"""How long a payout of all accounts may take, in seconds."""
CommissionMinor = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT_MINOR)]

referrals = TaskBundle()
"""`referrals.commission` and `referrals.payout` on the queue `referral-commission`."""


@referrals.task(
    name="referrals.commission",
    queue="referral-commission",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError, RefundMismatchError)
    ),
)
async def commission(
    ctx: Context,
    order_id: Id,
    buyer_id: Id,
    referrer_id: Id,
    order_amount_minor: AmountMinor,
    currency: Currency,
    event_type: EventType,
    rate_basis_points: BasisPoints | None = None,
    commission_minor: CommissionMinor | None = None,
    *,
    store: Referrals = provided(Referrals),  # type: ignore[type-abstract]
    settings: ReferralSettings = provided(ReferralSettings),
) -> CommissionResult:
    """Book what referrers earn by an order, or take it back. Once for each order, for ever.

    Parameters:
        order_id: The order: what makes it once.
        buyer_id: Who bought.
        referrer_id: Who referred the buyer.
        order_amount_minor: Of the order, in the currency's smallest unit. A refund names the same.
        currency: An ISO code or a coin's symbol, in capitals.
        event_type: `order_paid` or `order_refunded`.
        rate_basis_points: Of the first level, in hundredths of a percent. Default: the settings'.
        commission_minor: What the first level gets, if it was computed already. Default: by rate.

    Raises:
        UnusableInputError: A commission above the order; it is not tried again.
        RefundMismatchError: A refund of another amount than was paid; nor is this.
        sqlalchemy.exc.SQLAlchemyError: The database; it is tried again.
    """
    order = Order(
        order_id=order_id, buyer_id=buyer_id, currency=currency, amount_minor=order_amount_minor
    )
    key = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()
    if event_type == "order_refunded":
        return _refunded(order, await store.refund(order, key=key))
    if commission_minor is not None and commission_minor > order_amount_minor:
        reason = f"more than the order's {order_amount_minor}"
        raise UnusableInputError(named("commissionMinor", str(commission_minor)), reason)
    rates = list(settings.rates_basis_points)
    if rate_basis_points is not None:
        rates[0] = rate_basis_points
    chain = [referrer_id]
    if len(rates) > 1 and (above := await store.referrer_of(referrer_id)) is not None:
        chain.append(above)
    due, skipped = commissions(
        order_amount_minor, buyer_id=buyer_id, chain=chain, rates=rates,
        first_minor=commission_minor,
    )  # fmt: skip
    booking = await store.book(order, due, key=key)
    result = _paid(order, booking, skipped)
    if result.booked and settings.earned_task is not None:
        for one in result.entries:
            told: dict[str, Json] = {
                "userId": one.user_id,
                "orderId": order_id,
                "level": one.level,
                "amountMinor": one.amount_minor,
                "currency": currency,
            }
            ctx.enqueue(settings.earned_task, told)
    return result


@referrals.task(
    name="referrals.payout",
    queue="referral-commission",
    rename="camel",
    timeout=PAYOUT_TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,)),
)
async def payout(
    ctx: Context,
    period_start: Moment,
    period_end: Moment,
    referrer_id: Id | None = None,
    payout_id: Id | None = None,
    minimum: Minimum | None = None,
    payment_method: Method | None = None,
    *,
    store: Referrals = provided(Referrals),  # type: ignore[type-abstract]
    settings: ReferralSettings = provided(ReferralSettings),
) -> PayoutResult:
    """Book what one referrer, or all, earned and were not paid yet. It moves no money.

    Parameters:
        period_start: A date or a moment; kept with the payments.
        period_end: A date is its whole day. What was earned later is not paid.
        referrer_id: Whom to pay. Default: all.
        payout_id: What makes it once for each account. Default: the period.
        minimum: In whole units of each currency, as text. Default: the settings'.
        payment_method: In the producer's words; kept with the payments.

    Raises:
        UnusableInputError: The period makes no sense; it is not tried again.
        sqlalchemy.exc.SQLAlchemyError: The database; it is tried again.
    """
    period = DateRange(start=period_start, end=period_end)
    start, end = read_range(period, zone_of("UTC"), ("periodStart", "periodEnd"))
    first, after = start.isoformat(), end.isoformat()
    one = Payout(
        payout_id=payout_id or f"{first}/{after}", start=start, end=end, method=payment_method
    )
    key = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()
    least = settings.minimum_payout if minimum is None else minimum
    booked = below = 0
    paid: dict[str, list[int]] = {}
    async for each in pay_all(store, one, user_id=referrer_id, minimum=least, key=key):
        if each is None:
            below += 1
            continue
        booked += each.mine
        paid.setdefault(each.currency, []).append(each.amount_minor)
    if booked and settings.payout_task is not None:
        told: dict[str, Json] = {
            "payoutId": one.payout_id,
            "payouts": booked,
            "paymentMethod": payment_method,
        }
        ctx.enqueue(settings.payout_task, told)
    return PayoutResult(
        payout_id=one.payout_id,
        period_start=first,
        period_end=after,
        booked=booked,
        paid=[
            PaidCurrency(currency=currency, payouts=len(amounts), amount_minor=sum(amounts))
            for currency, amounts in sorted(paid.items())
        ],
        below_minimum=below,
    )


def _paid(order: Order, booking: Booking, skipped: list[Skip]) -> CommissionResult:
    """Return the result of a paid order."""
    left_out = [
        SkippedLevel(level=level, user_id=user_id, reason=reason)
        for level, user_id, reason in (skipped if booking.mine else [])
    ]
    entries = _booked(booking, "commission")
    if not booking.mine and booking.state == "refunded" and not entries:
        left_out = [SkippedLevel(level=1, user_id=None, reason="refunded")]
    return CommissionResult(
        order_id=order.order_id,
        event_type="order_paid",
        currency=order.currency,
        booked=booking.mine,
        entries=entries,
        skipped=left_out,
    )


def _refunded(order: Order, booking: Booking) -> CommissionResult:
    """Return the result of a refund."""
    entries = _booked(booking, "refund")
    nothing = [] if entries else [SkippedLevel(level=1, user_id=None, reason="not_paid")]
    return CommissionResult(
        order_id=order.order_id,
        event_type="order_refunded",
        currency=order.currency,
        booked=booking.mine,
        entries=entries,
        skipped=nothing,
    )


def _booked(booking: Booking, kind: str) -> list[BookedCommission]:
    return [
        BookedCommission(
            level=one.level,
            user_id=one.user_id,
            amount_minor=one.amount_minor,
            rate_basis_points=one.rate_basis_points,
        )
        for one in booking.entries
        if one.kind == kind
    ]
