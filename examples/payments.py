"""Ready-made tasks: a declined payment is a delayed job of another day, and one charge each.

Needs nothing: the provider is in memory.

Run:
    python examples/payments.py

Prints:
    retry 0: declined, insufficient_funds; the next one in 1 day
    retry 1: succeeded
    charges asked for: 2
"""

import asyncio
from datetime import UTC, datetime

from toril import App
from toril.library.payments import PaymentSettings, Providers
from toril.library.payments.tasks import payments, retry
from toril.services.payments.memory import MemoryPayments
from toril.services.payments.port import ChargeReply

app = App("sqlite://:memory:")
app.include(payments)
bank = MemoryPayments(ChargeReply(state="declined", reference="", code="insufficient_funds"))
app.provide(Providers({"stripe": bank}))
app.provide(PaymentSettings())


async def main() -> None:
    job = await app.bound(retry).enqueue("pay1", "order1", "jo", "stripe", 1999, "USD")
    await app.worker().run(until_idle=True)
    first = await job.result()
    assert first.next_retry_at is not None
    days = round((first.next_retry_at - datetime.now(UTC)).total_seconds() / 86_400)
    print(f"retry 0: {first.state}, {first.code}; the next one in {days} day")

    (next_job,) = (await app.queue("payment-retry").jobs("delayed")).jobs
    await app.queue("payment-retry").job(next_job.id).promote()
    await app.worker().run(until_idle=True)
    info = await app.queue("payment-retry").job(next_job.id).info()
    print(f"retry 1: {info.result['state']}")
    print("charges asked for:", len(bank.charges))
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
