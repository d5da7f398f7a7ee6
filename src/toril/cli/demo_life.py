"""What happens in the demo while its dashboard is open: an invented shop, busy on several queues.

Everything goes the way of any app: tasks, workers, schedules, flows. Nothing is written for show.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from toril.app import App
from toril.core.errors import BackendError
from toril.engine.context import Context
from toril.engine.operations import acting
from toril.engine.options import RetryPolicy
from toril.settings import Settings

TURN_S = 0.7
"""Between two turns of the shop, in which orders come in."""
UNSERVED = "billing.invoices"
"""A queue without workers: the overview has to say so."""
PAUSED = "webhooks"
DEAD = "mail.dead"
RETRIED_AT = 6
"""The turn in which somebody retries what has failed by then."""
MOST_UNSERVED = 200
"""It fills while the demo is open, but not for ever."""


class MailboxError(Exception):
    """A mail server has refused an address."""


class PaymentDeclinedError(Exception):
    """A bank has refused."""


class Shop:
    """An app with the tasks of a shop, and what goes on in it."""

    def __init__(self, url: str, *, seed: int | None = None, pace: float = 1.0) -> None:
        """Declare its tasks; nothing is opened yet.

        Parameters:
            url: The store.
            seed: Of its chances. None: another shop each time.
            pace: How fast it lives; tests have it live faster.
        """
        self.app = App(url, settings=Settings())
        self._chance = random.Random(seed)  # noqa: S311 - no secret is made of it
        self._pace = pace
        self._orders = 1000
        self._declare_mail()
        self._declare_work()

    def _declare_mail(self) -> None:
        app, chance, wait = self.app, self._chance, self._wait

        @app.task(queue="mail", dead_letter=DEAD, retry=RetryPolicy(max_attempts=2, base_s=1.0))
        async def receipt(context: Context, order: int, to: str) -> str:
            context.log(f"connecting for order {order}")
            await wait(0.02, 0.25)
            if to.endswith("@old.example.com"):
                raise MailboxError(f"550 5.1.1 mailbox unavailable: {to}")
            context.log("250 2.0.0 accepted")
            return "250 2.0.0 accepted"

        @app.schedule(every=20.0, id="newsletter", payload={"edition": "hourly"})
        @app.task(queue="mail")
        async def newsletter(context: Context, edition: str) -> int:
            for share in (25, 50, 75, 100):
                await wait(0.2, 0.6)
                context.progress(share)
            return chance.randint(200, 900)

        @app.task(queue=PAUSED)
        async def notify(url: str, order: int) -> int:
            await wait(0.05, 0.2)
            return 204

        self.receipt, self.notify = receipt, notify

    def _declare_work(self) -> None:
        app, chance, wait = self.app, self._chance, self._wait

        @app.task(queue="video.transcode", timeout=100)
        async def transcode(context: Context, source: str, height: int) -> dict[str, int]:
            for frame in range(0, 101, 10):
                await wait(0.1, 0.6)
                context.progress({"percent": frame, "fps": chance.randint(40, 70)})
                context.log(f"frame {frame * 24}")
            return {"bytes": chance.randint(4_000_000, 40_000_000), "height": height}

        @app.task(queue="video.thumbs")
        async def thumbnail(source: str, at_s: float) -> str:
            await wait(0.02, 0.1)
            return source.replace(".mp4", ".webp")

        @app.schedule("0 6 * * *", timezone="Europe/Berlin", id="daily-report")
        @app.task(queue="reports.daily")
        async def report(tenant: str = "all") -> str:
            await wait(0.1, 0.4)
            if chance.random() < 0.3:
                raise TimeoutError(f"warehouse of tenant {tenant} did not answer within 30 s")
            return f"s3://reports/{tenant}.pdf"

        @app.schedule("*/5 * * * *", id="stock-check")
        @app.task(queue="orders")
        async def check_stock() -> int:
            await wait(0.1, 0.3)
            return chance.randint(0, 4)

        @app.task(queue="orders", retry=RetryPolicy(max_attempts=3, base_s=2.0))
        async def charge(order: int, cents: int) -> str:
            await wait(0.3, 1.5)
            if chance.random() < 0.25:
                raise PaymentDeclinedError(f"card of order {order} was declined")
            return f"paid {cents / 100:.2f}"

        @app.task(queue="orders")
        async def pack(order: int, articles: list[str]) -> int:
            await wait(0.5, 3.0)
            return len(articles)

        @app.task(queue="orders")
        async def ship(context: Context, order: int) -> dict[str, int]:
            await wait(0.2, 1.0)
            return {"parcels": len(await context.children_results())}

        self.transcode, self.thumbnail, self.report = transcode, thumbnail, report
        self.charge, self.pack, self.ship = charge, pack, ship

    async def _wait(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._chance.uniform(least_s, most_s) / self._pace)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[App]:
        """Open the shop: two workers, orders that come in, and what an evening has left behind."""
        async with self.app:
            mail = self.app.worker(
                queues=["mail", PAUSED, "reports.daily"], concurrency=6, shutdown=0
            )
            goods = self.app.worker(
                queues={"orders": 3, "video.thumbs": 2, "video.transcode": 1},
                concurrency=8,
                shutdown=0,
            )
            running = [asyncio.create_task(each.run()) for each in (mail, goods)]
            await self._begin()
            living = asyncio.create_task(self._live())
            try:
                yield self.app
            finally:
                living.cancel()
                mail.stop()
                goods.stop()
                with suppress(asyncio.CancelledError):
                    await living
                await asyncio.gather(*running)

    async def _begin(self) -> None:
        """Leave what makes each page of a dashboard worth a look."""
        unserved = self.app.queue(UNSERVED)
        await unserved.add_many([("invoice", {"order": n, "cents": 990 * n}) for n in range(1, 41)])
        with acting("sam", "the partner's gateway is down"):
            await self.app.queue(PAUSED).pause()
        for _ in range(12):
            await self._order()
        await self.app.queue("reports.daily").set_concurrency(1)
        for tenant in ("acme", "globex", "initech"):
            await self.report.enqueue(tenant=tenant)
        await self.report.with_options(delay=1800.0).enqueue(tenant="hooli")

    async def _live(self) -> None:
        turn = 0
        while True:
            with suppress(BackendError):  # somebody has removed a queue meanwhile
                for _ in range(self._chance.randint(0, 4)):
                    await self._order()
                if turn % 3 == 0 and self._orders < 1000 + MOST_UNSERVED:
                    await self.app.queue(UNSERVED).add("invoice", {"order": self._orders})
                if turn % 9 == 0:
                    await self.report.enqueue(tenant=self._chance.choice(("acme", "umbrella")))
                if turn == RETRIED_AT:
                    with acting("robin", "sent again: addresses were corrected"):
                        await self.app.bulk.retry("queue:mail state:failed")
                turn += 1
            await asyncio.sleep(TURN_S / self._pace)

    async def _order(self) -> None:
        """Take an order: a receipt, a parcel that waits for its payment, a film now and then."""
        self._orders += 1
        order, chance = self._orders, self._chance
        host = "old.example.com" if chance.random() < 0.12 else "example.com"
        await self.receipt.enqueue(order=order, to=f"customer{chance.randint(1, 400)}@{host}")
        if chance.random() < 0.3:
            parcel = self.ship.node(
                order=order,
                children=[
                    self.charge.node(order=order, cents=chance.randint(500, 20_000)),
                    self.pack.node(order=order, articles=["lamp", "bulb"][: chance.randint(1, 2)]),
                ],
            )
            await self.app.flows.add(parcel)
        if chance.random() < 0.4:
            await self.thumbnail.enqueue(source=f"s3://films/{order}.mp4", at_s=2.5)
        if chance.random() < 0.15:
            await self.transcode.enqueue(source=f"s3://films/{order}.mp4", height=720)
        if chance.random() < 0.1:
            await self.notify.enqueue(url="https://partner.example/hook", order=order)
