"""What every payment provider promises, on each, against servers of their shapes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.services.payments.conftest import Side
from tests.support.payments import BtcPay, Fault

from toril.library.payments.tasks import charged_once
from toril.services.http.aio import AioHttpClient
from toril.services.payments.btcpay import BtcPayInvoices
from toril.services.payments.memory import MemoryPayments
from toril.services.payments.port import (
    Charge,
    ChargeReply,
    PaymentError,
    PaymentProvider,
    PaymentSetupError,
    PaymentUnclearError,
    WebhookRefusedError,
)
from toril.services.payments.stripe import StripePayments
from toril.services.payments.yookassa import YooKassaPayments

CHARGE = Charge(
    payment_id="pay'1",
    retry_count=0,
    order_id="order 1",
    amount_minor=1999,
    currency="USD",
    since=datetime(2026, 11, 29, tzinfo=UTC),
    payment_method_id="pm_1",
    customer_id="cus_1",
)


async def test_charge_succeeds_and_is_found(side: Side) -> None:
    before = await side.provider.find(CHARGE)
    made = await side.provider.charge(CHARGE)
    found = await side.provider.find(CHARGE)

    assert before is None
    assert made.state == "succeeded"
    assert made.reference
    assert found == made
    assert side.bank.charges == {CHARGE.key: 1}
    (asked,) = side.bank.asked
    if side.name == "stripe":
        assert (asked["amount"], asked["currency"]) == ("1999", "usd")
        assert (asked["payment_method"], asked["customer"]) == ("pm_1", "cus_1")
        assert (asked["confirm"], asked["off_session"]) == ("true", "true")
    elif side.name == "yookassa":
        assert asked["amount"] == {"value": "19.99", "currency": "USD"}
        assert (asked["payment_method_id"], asked["capture"]) == ("pm_1", True)
    else:
        assert (asked["amount"], asked["currency"]) == ("19.99", "USD")
        assert asked["checkout"] == {"speedPolicy": "LowSpeed"}


async def test_second_charge_of_a_key_moves_no_money(side: Side) -> None:
    first = await side.provider.charge(CHARGE)
    again = await side.provider.charge(CHARGE)
    other = await side.provider.charge(replace(CHARGE, retry_count=1))

    assert first == again
    assert other.reference != first.reference
    assert set(side.bank.charges.values()) == {1}
    assert len(side.bank.charges) == 2


@pytest.mark.parametrize("fault", ["after", "lost"])
async def test_lost_answer_is_looked_up_and_never_charged_again(side: Side, fault: Fault) -> None:
    side.bank.fault = fault

    reply = await charged_once(side.provider, CHARGE)

    assert reply.state == "succeeded"
    assert side.bank.charges == {CHARGE.key: 1}


async def test_answer_that_is_lost_and_not_found_yet_stays_unclear(side: Side) -> None:
    """A search may know of a charge only after a while: it is not charged blindly meanwhile."""
    side.bank.fault, side.bank.hidden = "after", True

    with pytest.raises(PaymentUnclearError):
        await charged_once(side.provider, CHARGE)
    side.bank.hidden = False
    reply = await charged_once(side.provider, CHARGE)

    assert reply.state == "succeeded"
    assert side.bank.charges == {CHARGE.key: 1}


async def test_error_before_the_charge_charges_nothing(side: Side) -> None:
    side.bank.fault = "before"

    with pytest.raises(PaymentError):
        await charged_once(side.provider, CHARGE)

    assert side.bank.charges[CHARGE.key] == 0


async def test_provider_that_is_down_is_a_technical_error(side: Side) -> None:
    side.bank.down = True

    with pytest.raises(PaymentError):
        await side.provider.find(CHARGE)
    with pytest.raises(PaymentError):
        await side.provider.charge(CHARGE)

    assert side.bank.charges == {}


async def test_server_that_is_away_charged_nothing_for_sure(http: AioHttpClient) -> None:
    nowhere = "http://127.0.0.1:9"
    for provider in (
        YooKassaPayments("1", "k", http, url=nowhere),
        BtcPayInvoices(nowhere, "s", "k", http),
    ):
        with pytest.raises(PaymentError) as error:
            await provider.charge(CHARGE)
        assert not isinstance(error.value, PaymentUnclearError)
    stripe = StripePayments("k", url=nowhere)
    with pytest.raises(PaymentError):
        await stripe.find(CHARGE)
    await stripe.close()


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        (("insufficient_funds", "insufficient_funds", "Expired"), "declined"),
        (("stolen_card", "card_expired", None), "refused"),
    ],
)
async def test_declines_are_told_apart(
    side: Side, codes: tuple[str | None, ...], state: str
) -> None:
    code = codes[["stripe", "yookassa", "crypto"].index(side.name)]
    if code is None:
        return  # an invoice is never refused for good
    side.bank.decline = code

    made = await side.provider.charge(CHARGE)
    found = await side.provider.find(CHARGE)

    assert (made.state, made.code) == (state, code.lower())
    assert found == made
    assert side.bank.charges[CHARGE.key] == 0


async def test_wrong_key_is_no_reason_to_try_again(side: Side, http: AioHttpClient) -> None:
    url = side.bank.server.url("")
    providers: dict[str, PaymentProvider] = {
        "stripe": StripePayments("sk_wrong", url=url),
        "yookassa": YooKassaPayments("1", "wrong", http, url=url),
        "crypto": BtcPayInvoices(url, "store1", "wrong", http),
    }
    wrong = providers[side.name]

    for asking in (wrong.find, wrong.charge):
        with pytest.raises(PaymentSetupError) as error:
            await asking(CHARGE)
        assert "wrong" not in str(error.value)
    await wrong.close()


async def test_invoice_waits_for_its_customer(http: AioHttpClient, side: Side) -> None:
    if not isinstance(side.bank, BtcPay):
        return
    side.bank.status = "New"

    new = await side.provider.charge(CHARGE)
    side.bank.made[CHARGE.key]["status"] = "Processing"
    paid = await side.provider.find(CHARGE)
    side.bank.made[CHARGE.key]["status"] = "Settled"
    settled = await side.provider.find(CHARGE)

    assert (new.state, new.url) == ("pending", "https://pay.example.com/i/inv1")
    assert paid == ChargeReply(state="pending", reference="inv1")
    assert settled == ChargeReply(state="succeeded", reference="inv1")


@pytest.mark.parametrize(
    ("confirmations", "speed"),
    [(0, "HighSpeed"), (1, "MediumSpeed"), (2, "LowMediumSpeed"), (3, "LowSpeed"), (6, "LowSpeed")],
)
async def test_confirmations_are_never_fewer_than_asked(
    confirmations: int, speed: str, http: AioHttpClient, side: Side
) -> None:
    if not isinstance(side.bank, BtcPay):
        return
    url = side.bank.server.url("")
    provider = BtcPayInvoices(url, "store1", "btcpay-key", http, confirmations=confirmations)

    await provider.charge(CHARGE)

    assert side.bank.asked[0]["checkout"] == {"speedPolicy": speed}


async def test_memory_charges_once_and_takes_no_webhooks() -> None:
    memory = MemoryPayments(ChargeReply(state="declined", reference="", code="no_money"))

    first = await memory.charge(CHARGE)
    again = await memory.charge(CHARGE)
    other = await memory.charge(replace(CHARGE, retry_count=1))

    assert first == again == await memory.find(CHARGE)
    assert (first.state, first.code, other.state) == ("declined", "no_money", "succeeded")
    with pytest.raises(WebhookRefusedError):
        await memory.webhook(b"", {}, client_ip="127.0.0.1")
