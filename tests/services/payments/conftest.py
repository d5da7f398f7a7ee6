from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.support.payments import (
    SHOP,
    SHOP_KEY,
    STORE,
    STORE_KEY,
    STORE_SECRET,
    STRIPE_KEY,
    STRIPE_SECRET,
    BtcPay,
    Provider,
    Stripe,
    YooKassa,
    provider_server,
)

from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.payments.btcpay import BtcPayInvoices
from toril.services.payments.port import PaymentProvider
from toril.services.payments.stripe import StripePayments
from toril.services.payments.yookassa import YooKassaPayments


@dataclass
class Side:
    """An adapter, and the server that it speaks to."""

    name: str
    provider: PaymentProvider
    bank: Provider


@pytest.fixture
async def http() -> AsyncIterator[AioHttpClient]:
    made = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    yield made
    await made.close()


@pytest.fixture(params=["stripe", "yookassa", "crypto"])
async def side(request: pytest.FixtureRequest, http: AioHttpClient) -> AsyncIterator[Side]:
    kinds = {"stripe": Stripe, "yookassa": YooKassa, "crypto": BtcPay}
    async with provider_server(kinds[request.param]()) as bank:
        url = bank.server.url("")
        provider: PaymentProvider
        if request.param == "stripe":
            provider = StripePayments(STRIPE_KEY, url=url, webhook_secret=STRIPE_SECRET)
        elif request.param == "yookassa":
            provider = YooKassaPayments(SHOP, SHOP_KEY, http, url=url, senders=["127.0.0.0/8"])
        else:
            provider = BtcPayInvoices(url, STORE, STORE_KEY, http, webhook_secret=STORE_SECRET)
        yield Side(request.param, provider, bank)
        await provider.close()
