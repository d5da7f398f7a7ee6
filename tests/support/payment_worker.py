"""A worker of the payments in a process of its own, which a test may kill."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.support.payments import SHOP, SHOP_KEY, STORE, STORE_KEY, STRIPE_KEY

from toril import App
from toril.library.payments import PaymentSettings, Providers
from toril.library.payments.tasks import payments
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.payments.btcpay import BtcPayInvoices
from toril.services.payments.port import PaymentProvider
from toril.services.payments.stripe import StripePayments
from toril.services.payments.yookassa import YooKassaPayments


def make_app(url: str, name: str, server_url: str, settings: PaymentSettings) -> App:
    """Return an app with one provider, whose server is a test's."""
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    made: PaymentProvider
    if name == "stripe":
        made = StripePayments(STRIPE_KEY, url=server_url)
    elif name == "yookassa":
        made = YooKassaPayments(SHOP, SHOP_KEY, http, url=server_url)
    else:
        made = BtcPayInvoices(server_url, STORE, STORE_KEY, http)
    app = App(url)
    app.include(payments)
    providers = Providers({name: made})
    app.provide(providers)
    app.provide(settings)
    app.on_stop(providers.close)
    app.on_stop(http.close)
    return app


def start_worker(url: str, name: str, server_url: str) -> subprocess.Popen[bytes]:
    """Start a worker; it ends when it is killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.payment_worker", name, server_url],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TORIL_URL": url},
    )


async def _work(url: str, name: str, server_url: str) -> None:
    app = make_app(url, name, server_url, PaymentSettings())
    await app.worker(lease=1.0, sweep=0.2, max_stalled=100).run()


if __name__ == "__main__":
    asyncio.run(_work(os.environ["TORIL_URL"], sys.argv[1], sys.argv[2]))
