"""Ready-made tasks: commissions of referrers, once for each order, and taken back by a refund.

Needs the extra `records`.

Run:
    python examples/referrals.py

Prints:
    paid: ann 509
    paid: top 101
    again: booked=False
    refunded: ann -509
    refunded: top -101
    balance: 0
"""

import asyncio
import tempfile
from pathlib import Path

from toril import App
from toril.library.referrals import ReferralSettings
from toril.library.referrals.payloads import EventType
from toril.library.referrals.tasks import commission, referrals
from toril.services.referrals.port import Referrals
from toril.services.referrals.sql import SqlReferrals

app = App("sqlite://:memory:")
app.include(referrals)
app.provide(ReferralSettings(rates_basis_points=(1000, 200)))


async def main(folder: Path) -> None:
    store = SqlReferrals(f"sqlite:///{folder}/shop.db")
    app.provide(store, Referrals)
    await store.refer("ann", "top")

    async def tell(event: EventType) -> bool:
        job = await app.bound(commission).enqueue("o1", "jo", "ann", 5099, "USD", event)
        await app.worker().run(until_idle=True)
        result = await job.result()
        for one in result.entries if result.booked else []:
            print(f"{event.removeprefix('order_')}: {one.user_id} {one.amount_minor}")
        return result.booked

    await tell("order_paid")
    print(f"again: booked={await tell('order_paid')}")
    await tell("order_refunded")
    print("balance:", await store.balance("ann", "USD"))
    await store.close()
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
