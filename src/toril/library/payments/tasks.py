"""Payments as a task: `app.include(payments)`, with `app.provide(Providers({...}))`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from toril.core.clock import SystemClock, moment
from toril.core.codec import Json
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.engine.outcomes import Snooze
from toril.library.payments.payloads import Id, PaymentResult, PaymentState, Provider, Retries
from toril.library.payments.settings import PaymentSettings, Providers
from toril.services.money import AmountMinor, Currency
from toril.services.payments.port import (
    Charge,
    ChargeReply,
    PaymentError,
    PaymentProvider,
    PaymentSetupError,
    PaymentUnclearError,
)
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 180.0
"""How long one charge may take, in seconds."""
BEGAN = "torilBegan"
"""Of the payload: when the job's first attempt began, in milliseconds since 1970."""
Reason = Annotated[str, msgspec.Meta(max_length=2000)]

payments = TaskBundle()
"""`payments.retry` on the queue `payment-retry`."""


@payments.task(
    name="payments.retry",
    queue="payment-retry",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=5,
        base_s=30.0,
        cap_s=3600.0,
        give_up_on=(UnusableInputError, PaymentSetupError),
    ),
)
async def retry(
    ctx: Context,
    payment_id: Id,
    order_id: Id,
    user_id: Id,
    provider: Provider,
    amount_minor: AmountMinor,
    currency: Currency,
    payment_method_id: Id | None = None,
    customer_id: Id | None = None,
    retry_count: Retries = 0,
    max_retries: Retries = 5,
    reason: Reason | None = None,
    toril_began: int | None = None,
    *,
    providers: Providers = provided(Providers),
    settings: PaymentSettings = provided(PaymentSettings),
) -> PaymentResult:
    """Charge a payment that failed before: one charge a job, whatever gets lost.

    Parameters:
        payment_id: The payment; with `retry_count` it makes the charge one.
        order_id: What is paid.
        user_id: Who pays.
        provider: `stripe`, `yookassa` or `crypto`.
        amount_minor: In the currency's smallest unit.
        currency: An ISO code or a coin's symbol, in capitals.
        payment_method_id: The provider's name of a stored card or account.
        customer_id: The provider's name of its owner.
        retry_count: Which retry this is, from 0.
        max_retries: After how many a decline is the end.
        reason: Why it failed before, for people.
        toril_began: When the first attempt began, which only this task fills.

    Raises:
        UnusableInputError: There is no such provider; it is not tried again.
        PaymentSetupError: The provider refuses us; nor is this, until somebody mends it.
        PaymentError: The provider is down; it is tried again, with the same key.
    """
    del reason, toril_began
    charge = Charge(
        payment_id=payment_id,
        retry_count=retry_count,
        order_id=order_id,
        amount_minor=amount_minor,
        currency=currency,
        since=await _began(ctx),
        payment_method_id=payment_method_id,
        customer_id=customer_id,
    )
    reply = await charged_once(providers.find(provider), charge)
    if reply.state == "pending":
        raise Snooze(after_s=settings.poll_s)
    state: PaymentState = "succeeded" if reply.state == "succeeded" else "failed"
    next_at: datetime | None = None
    if reply.state == "declined" and retry_count < max_retries:
        state = "declined"
        wait_s = settings.wait_s(retry_count)
        next_at = moment(SystemClock().now_ms()) + timedelta(seconds=wait_s)
        ctx.enqueue(
            retry.with_options(run_at=next_at),
            payment_id=payment_id,
            order_id=order_id,
            user_id=user_id,
            provider=provider,
            amount_minor=amount_minor,
            currency=currency,
            payment_method_id=payment_method_id,
            customer_id=customer_id,
            retry_count=retry_count + 1,
            max_retries=max_retries,
            reason=reply.code or None,
        )
    elif settings.outcome_task is not None:
        told: dict[str, Json] = {
            "paymentId": payment_id,
            "orderId": order_id,
            "userId": user_id,
            "state": state,
            "amountMinor": amount_minor,
            "currency": currency,
            "reference": reply.reference,
            "code": reply.code,
            "retryCount": retry_count,
        }
        ctx.enqueue(settings.outcome_task, told)
    return PaymentResult(
        payment_id=payment_id,
        state=state,
        reference=reply.reference,
        code=reply.code,
        retry_count=retry_count,
        next_retry_at=next_at,
    )


async def _began(ctx: Context) -> datetime:
    """Return when the first attempt of the job began; it is kept in the payload.

    A delayed job was added long before it could charge anything: to look for its charge from there
    would mean to read a week of payments.
    """
    noted = ctx.data.get(BEGAN)
    if isinstance(noted, int):
        return moment(noted)
    now_ms = SystemClock().now_ms()
    await ctx.update_data({**ctx.data, BEGAN: now_ms})
    return moment(now_ms)


async def charged_once(provider: PaymentProvider, charge: Charge) -> ChargeReply:
    """Return what became of a charge, and make it only if the provider knows of none.

    Raises:
        PaymentError: Nothing is known of it now. Ask again, with the same charge.
        PaymentSetupError: The provider refuses us.
    """
    found = await provider.find(charge)
    if found is not None:
        return found
    try:
        return await provider.charge(charge)
    except PaymentUnclearError as unclear:
        try:
            found = await provider.find(charge)
        except PaymentError:
            raise unclear from None
        if found is None:
            raise
        return found
