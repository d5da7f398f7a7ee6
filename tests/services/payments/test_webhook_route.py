"""The route of webhooks: what is verified has the payment's job look at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from tests.services.payments.conftest import Side
from tests.services.payments.test_conformance import CHARGE
from tests.services.payments.test_webhooks import HERE, signed

from toril import App, JobOptions
from toril.library.payments import PaymentSettings, Providers
from toril.library.payments.tasks import payments, retry
from toril.web import payment_webhooks
from toril.web.payment_webhooks import MAX_BYTES, webhook_route

PENDING = {"stripe": "processing", "yookassa": "pending", "crypto": "New"}


@pytest.fixture(params=["sqlite", "redis"])
async def app(request: pytest.FixtureRequest, side: Side) -> AsyncIterator[App]:
    url = "sqlite://:memory:"
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    made = App(url)
    made.include(payments)
    made.provide(Providers({side.name: side.provider}))
    made.provide(PaymentSettings(poll_s=600))
    yield made
    await made.close()


def client(app: App, side: Side, sender: str = HERE) -> httpx.AsyncClient:
    web = Starlette(routes=[webhook_route(app, Providers({side.name: side.provider}))])
    transport = httpx.ASGITransport(web, client=(sender, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://shop")


async def waiting(app: App, side: Side) -> Any:
    """Return a job whose charge the provider has not decided."""
    made = await side.provider.charge(CHARGE)
    side.bank.made[CHARGE.key]["status"] = PENDING[side.name]
    job = await app.bound(retry).enqueue(
        payment_id=CHARGE.payment_id,
        order_id=CHARGE.order_id,
        user_id="u",
        provider=cast("Any", side.name),
        amount_minor=CHARGE.amount_minor,
        currency=CHARGE.currency,
        retry_count=CHARGE.retry_count,
    )
    await app.worker().run(until_idle=True)
    assert (await job.info()).state == "delayed"
    assert made.state == "succeeded"
    return job


async def test_webhook_has_the_job_look_at_once(app: App, side: Side) -> None:
    job = await waiting(app, side)
    settled = {"stripe": "succeeded", "yookassa": "succeeded", "crypto": "Settled"}
    side.bank.made[CHARGE.key]["status"] = settled[side.name]
    body, headers = signed(side)
    async with client(app, side) as http:
        first = await http.post(f"/webhooks/{side.name}", content=body, headers=headers)
        again = await http.post(f"/webhooks/{side.name}", content=body, headers=headers)
    await app.worker().run(until_idle=True)

    assert (first.status_code, first.json()) == (200, {"jobs": 1})
    assert (again.status_code, again.json()) == (200, {"jobs": 0})
    assert (await job.info()).result["state"] == "succeeded"
    assert sum(side.bank.charges.values()) == 1


async def test_next_charge_after_a_decline_is_not_hurried(app: App, side: Side) -> None:
    job = await waiting(app, side)
    data = {**(await job.info()).data}
    del data["torilBegan"]
    tomorrow = await app.queue("payment-retry").add(
        "payments.retry", data, JobOptions(run_at=datetime.now(UTC) + timedelta(seconds=60))
    )
    other = await app.queue("payment-retry").add(
        "payments.retry", {**data, "paymentId": "pay2", "torilBegan": 1}, JobOptions(delay_s=60)
    )
    body, headers = signed(side)
    async with client(app, side) as http:
        answer = await http.post(f"/webhooks/{side.name}", content=body, headers=headers)

    assert answer.json() == {"jobs": 1}
    states = [(await each.info()).state for each in (tomorrow, other)]
    assert states == ["delayed", "delayed"]


async def test_what_is_not_the_providers_changes_nothing(app: App, side: Side) -> None:
    job = await waiting(app, side)
    body, headers = signed(side)
    forged = {name: value[:-4] + "beef" for name, value in headers.items()}
    async with client(app, side, "203.0.113.7") as http:
        refused = await http.post(f"/webhooks/{side.name}", content=body + b" ", headers=forged)
    async with client(app, side) as http:
        nobody = await http.post("/webhooks/paypal", content=body, headers=headers)
        large = await http.post(f"/webhooks/{side.name}", content=b" " * (MAX_BYTES + 1))
        read = await http.get(f"/webhooks/{side.name}")

    codes = [one.status_code for one in (refused, nobody, large, read)]
    assert codes == [400, 404, 413, 405]
    assert side.name in nobody.json()["error"]["message"]
    assert (await job.info()).state == "delayed"


async def test_webhook_without_an_end_is_given_up(
    app: App, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_webhooks, "READ_S", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with client(app, side) as http:
        answer = await http.post(f"/webhooks/{side.name}", content=endless())

    assert answer.status_code == 408
    assert "not complete within 0.05 s" in answer.json()["error"]["message"]


async def test_provider_that_is_down_has_it_sent_again(app: App, side: Side) -> None:
    if side.name == "stripe":  # it signs what it says, and is not asked
        return
    job = await waiting(app, side)
    body, headers = signed(side)
    side.bank.down = True
    async with client(app, side) as http:
        answer = await http.post(f"/webhooks/{side.name}", content=body, headers=headers)
    side.bank.down = False

    assert answer.status_code == 503
    assert (await job.info()).state == "delayed"
