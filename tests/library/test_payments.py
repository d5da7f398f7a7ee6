"""The payments, by workers, on both stores of jobs and all providers' servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.payment_worker import make_app, start_worker
from tests.support.payments import BtcPay, Provider, Stripe, YooKassa, provider_server, said
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, InvalidPayloadError
from toril.library.payments import PaymentSettings, Providers, from_decimals
from toril.library.payments.tasks import retry
from toril.services.payments.memory import MemoryPayments
from toril.services.payments.port import Charge

KINDS: dict[str, type[Provider]] = {"stripe": Stripe, "yookassa": YooKassa, "crypto": BtcPay}
SETTINGS = PaymentSettings(outcome_task="shop.payment_ended", poll_s=0.05)


def payment(provider: str, **more: Any) -> dict[str, Any]:
    return {
        "payment_id": "pay1",
        "order_id": "o1",
        "user_id": "u1",
        "provider": provider,
        "amount_minor": 1999,
        "currency": "USD",
        **more,
    }


def key(retry_count: int = 0) -> str:
    return Charge(
        payment_id="pay1",
        retry_count=retry_count,
        order_id="o1",
        amount_minor=1999,
        currency="USD",
        since=datetime.now(UTC),
    ).key


@pytest.fixture
def name() -> str:
    """Which provider. A test for several has it as a parameter."""
    return "yookassa"


@pytest.fixture
async def bank(name: str) -> AsyncIterator[Provider]:
    async with provider_server(KINDS[name]()) as made:
        yield made


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


@pytest.fixture
async def app(
    url: str, name: str, bank: Provider, told: list[dict[str, Any]]
) -> AsyncIterator[App]:
    made = make_app(url, name, bank.server.url(""), SETTINGS)

    @made.task(name="shop.payment_ended", rename="camel")
    async def payment_ended(
        payment_id: str,
        order_id: str,
        user_id: str,
        state: str,
        amount_minor: int,
        currency: str,
        reference: str,
        code: str,
        retry_count: int,
    ) -> None:
        told.append({"state": state, "code": code, "retry": retry_count, "id": payment_id})

    yield made
    await made.close()


async def the_delayed(app: App) -> Any:
    """Return the only delayed job of the queue."""
    (found,) = (await app.queue("payment-retry").jobs("delayed")).jobs
    return app.queue("payment-retry").job(found.id)


async def nothing_follows(app: App) -> bool:
    return (await app.queue("payment-retry").jobs("delayed")).jobs == []


every_provider = pytest.mark.parametrize("name", list(KINDS))


@every_provider
async def test_decline_is_tried_again_on_another_day(
    app: App, bank: Provider, name: str, told: list[dict[str, Any]]
) -> None:
    bank.decline = {"stripe": "insufficient_funds", "yookassa": "insufficient_funds"}.get(
        name, "Expired"
    )
    job = await app.bound(retry).enqueue(**payment(name))

    before = datetime.now(UTC)
    await app.worker().run(until_idle=True)

    result = await job.result()
    assert (result.state, result.retry_count) == ("declined", 0)
    assert result.next_retry_at is not None
    assert abs(result.next_retry_at - before - timedelta(days=1)) < timedelta(hours=1)
    assert told == []
    follower = await the_delayed(app)
    info = await follower.info()
    assert (info.data["retryCount"], info.data["paymentId"]) == (1, "pay1")
    assert info.data["reason"] == result.code
    assert "torilBegan" not in {one for one, value in info.data.items() if value is not None}
    assert abs(info.run_at - result.next_retry_at) < timedelta(seconds=2)

    await follower.promote()
    await app.worker().run(until_idle=True)

    assert (await follower.info()).result["state"] == "succeeded"
    assert +bank.charges == {key(1): 1}
    assert told == [{"state": "succeeded", "code": "", "retry": 1, "id": "pay1"}]


async def test_charge_is_looked_for_since_the_job_began(app: App, bank: Provider) -> None:
    """Not since it was added, which may be a week earlier: see the hundreds of payments between."""
    job = await app.bound(retry).with_options(delay=0.3).enqueue(**payment("yookassa"))
    async with app.worker():
        await job.result(timeout_s=60)

    info = await job.info()
    assert info.data["torilBegan"] >= info.created_at.timestamp() * 1000 + 300


@pytest.mark.parametrize("name", ["stripe", "yookassa"])
async def test_card_that_will_never_do_ends_it(
    app: App, bank: Provider, name: str, told: list[dict[str, Any]]
) -> None:
    bank.decline = {"stripe": "stolen_card", "yookassa": "card_expired"}[name]
    code = bank.decline
    job = await app.bound(retry).enqueue(**payment(name))

    await app.worker().run(until_idle=True)

    result = await job.result()
    assert (result.state, result.code, result.next_retry_at) == ("failed", code, None)
    assert told == [{"state": "failed", "code": code, "retry": 0, "id": "pay1"}]
    assert await nothing_follows(app)


async def test_last_retry_ends_it(app: App, bank: Provider, told: list[dict[str, Any]]) -> None:
    bank.decline = "insufficient_funds"
    job = await app.bound(retry).enqueue(**payment("yookassa", retry_count=2, max_retries=2))

    await app.worker().run(until_idle=True)

    assert (await job.result()).state == "failed"
    assert [one["retry"] for one in told] == [2]
    assert await nothing_follows(app)


@every_provider
async def test_lost_answer_is_one_charge(app: App, bank: Provider, name: str) -> None:
    bank.fault = "lost"
    job = await app.bound(retry).enqueue(**payment(name))

    await app.worker().run(until_idle=True)

    assert (await job.result()).state == "succeeded"
    assert bank.charges == {key(): 1}


@every_provider
async def test_answer_that_is_found_later_is_one_charge(
    app: App, bank: Provider, name: str, told: list[dict[str, Any]]
) -> None:
    """The provider charges, answers with an error, and cannot be asked until the next attempt."""
    bank.fault, bank.hidden = "after", True
    job = await app.bound(retry).with_options(backoff_s=3600.0).enqueue(**payment(name))
    await app.worker().run(until_idle=True)
    waiting = await job.info()
    bank.hidden = False

    await job.promote()
    await app.worker().run(until_idle=True)

    assert (waiting.state, waiting.attempts_made) == ("delayed", 1)
    assert (await job.result()).state == "succeeded"
    assert bank.charges == {key(): 1}
    assert len(told) == 1


@every_provider
async def test_provider_that_is_down_costs_an_attempt_and_no_retry(
    app: App, bank: Provider, name: str
) -> None:
    bank.down = True
    job = (
        await app.bound(retry).with_options(backoff_s=0.0, max_attempts=2).enqueue(**payment(name))
    )
    await app.worker().run(until_idle=True)
    failed = await job.info()
    bank.down = False

    await job.retry()
    await app.worker().run(until_idle=True)

    assert (failed.state, failed.attempts_made) == ("failed", 2)
    assert (await job.info()).result["retryCount"] == 0
    assert bank.charges == {key(): 1}


@pytest.mark.parametrize("name", ["crypto"])
async def test_invoice_is_waited_for(app: App, bank: BtcPay, told: list[dict[str, Any]]) -> None:
    bank.status = "New"
    job = await app.bound(retry).enqueue(**payment("crypto"))
    running = app.worker()
    async with running:
        await wait_until(lambda: len(bank.server.requests) > 4, what="the invoice to be asked for")
        bank.made[key()]["status"] = "Settled"
        result = await job.result(timeout_s=60)
        await wait_until(lambda: told, what="the outcome to be told")

    assert (result.state, result.reference) == ("succeeded", "inv1")
    assert bank.charges == {key(): 1}


@every_provider
async def test_worker_killed_after_the_charge_charges_once(
    url: str, app: App, bank: Provider, name: str
) -> None:
    """The provider has the money and has not answered: the worst moment to die."""
    bank.fault = "hangs"
    job = await app.bound(retry).enqueue(**payment(name))
    killed = start_worker(url, name, bank.server.url(""))
    try:
        await wait_until(lambda: bank.charges[key()] == 1, what="the charge")
    finally:
        killed.kill()
        killed.wait()

    async with app.worker(lease=1.0, sweep=0.2, max_stalled=100):
        result = await job.result(timeout_s=90)

    assert result.state == "succeeded"
    assert bank.charges == {key(): 1}


async def test_wrong_key_fails_at_once(url: str, bank: Provider, app: App) -> None:
    bank.server.answer = lambda request: said(401, {})
    job = await app.bound(retry).enqueue(**payment("yookassa"))

    await app.worker().run(until_idle=True)

    info = await job.info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "YooKassa refuses the request: 401" in (info.failed_reason or "")


async def test_provider_that_is_not_set_up_fails_at_once(app: App) -> None:
    job = await app.bound(retry).enqueue(**payment("stripe"))

    await app.worker().run(until_idle=True)

    info = await job.info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "provider 'stripe'" in (info.failed_reason or "")
    assert "yookassa" in (info.failed_reason or "")


async def test_payload_in_decimals_is_charged(app: App, bank: Provider) -> None:
    """What a published marketplace sends, as it stands."""
    app.bind("payment-retry", retry, names="retry-payment", adapter=from_decimals, rename="camel")
    sample: dict[str, Any] = {
        "paymentId": "pay1",
        "userId": "u1",
        "productId": "p1",
        "amount": 19.99,
        "currency": "USD",
        "provider": "yookassa",
        "retryCount": 1,
    }
    queue = app.queue("payment-retry")
    job = await queue.add("retry-payment", sample)
    with pytest.raises(InvalidPayloadError, match="USD has 2 digits"):
        await queue.add("retry-payment", {**sample, "amount": 19.999})

    await app.worker().run(until_idle=True)

    assert (await job.info()).result["state"] == "succeeded"
    assert bank.charges == {key(1): 1}
    assert bank.asked[0]["amount"] == {"value": "19.99", "currency": "USD"}


@pytest.mark.parametrize(
    ("field", "wire", "value"),
    [
        ("amount_minor", "amountMinor", 0),
        ("amount_minor", "amountMinor", -1),
        ("amount_minor", "amountMinor", 10.5),
        ("amount_minor", "amountMinor", "10"),
        ("provider", "provider", "paypal"),
        ("currency", "currency", "usd"),
        ("retry_count", "retryCount", -1),
        ("payment_id", "paymentId", ""),
    ],
)
async def test_bad_fields_are_refused_at_the_door(
    app: App, field: str, wire: str, value: Any
) -> None:
    with pytest.raises(InvalidPayloadError) as refused:
        await app.bound(retry).enqueue(**{**payment("stripe"), field: value})
    assert refused.value.field == wire


def test_waits_are_taken_in_turn_and_the_last_one_stays() -> None:
    settings = PaymentSettings()

    assert [settings.wait_s(count) / 86_400 for count in range(5)] == [1, 3, 7, 7, 7]


@pytest.mark.parametrize(
    "options", [{"waits_s": ()}, {"waits_s": (0,)}, {"poll_s": 0}, {"outcome_task": ""}]
)
def test_settings_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(options))):
        PaymentSettings(**options)


def test_no_provider_at_all_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="at least one provider"):
        Providers({})
    assert Providers({"stripe": MemoryPayments()}).find("stripe")
