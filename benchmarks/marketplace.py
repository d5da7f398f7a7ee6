"""The marketplace's figures: one charge a payment, one commission an order, mails, figures, queues.

    python -m benchmarks.marketplace [--store sqlite|redis] [--only payments mails ...]
        [--payments 1000] [--mails 10000] [--events 1000000] [--adds 1000]

Servers of payments and mail are processes or threads of this machine: they cost what they cost.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.examples.marketplace.market import Market
from tests.support.payment_worker import make_app, start_worker
from tests.support.payments import Fault, Stripe, provider_server
from tests.support.redis_server import RedisServer
from tests.support.smtp_server import receiving

from benchmarks.systems import asked_for, until
from toril import App
from toril.core.codec import Json
from toril.engine.info import QueueInfo
from toril.library.analytics import DateRange
from toril.library.analytics.tasks import aggregate, analytics
from toril.library.payments import PaymentSettings
from toril.library.payments.tasks import retry
from toril.services.analytics.sql import Analytics
from toril.services.analytics.tables import ANALYTICS, EVENTS
from toril.services.records.records import Records

FAULTS: tuple[Fault | None, ...] = (None, "after", "lost")
"""What Stripe does with a charge: answers, charges and answers 500, hangs up. A 500 without a
charge is left out: Stripe gives it again to each call with the key, for a day."""
DEADLINE_S = 3600.0
DAYS = 30
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
METRICS = ["page_views", "purchases", "conversion_rate", "revenue", "active_users"]


async def counted(app: App, queue: str) -> QueueInfo:
    """Return how many jobs of a queue there are in each state."""
    found = await app.queue(queue).info()
    assert found is not None
    return found


async def payments(url: str, many: int) -> None:
    """Kill the worker again and again while payments are charged, and count the charges."""
    async with provider_server(Stripe()) as bank:
        address = bank.server.url("")
        app = make_app(url, "stripe", address, PaymentSettings())
        quick = app.bound(retry).with_options(backoff_s=0.1, max_attempts=100)
        for number in range(many):
            await quick.enqueue(
                payment_id=f"p{number}", order_id=f"o{number}", user_id="u", provider="stripe",
                amount_minor=1999, currency="USD",
            )  # fmt: skip
        dice = random.Random(1)  # when a worker is killed is no secret
        began_s = time.perf_counter()
        kills = 0

        async def are_done() -> bool:
            counts = await counted(app, "payment-retry")
            return counts.completed + counts.failed == many

        while not await are_done():
            worker = start_worker(url, "stripe", address)
            made, a_few = len(bank.made), dice.randint(1, 10)
            bank.fault = dice.choice(FAULTS)
            # Until it has charged some, so that each start gets somewhere; then at any moment.
            while worker.poll() is None and len(bank.made) < min(made + a_few, many):
                if await are_done():
                    break
                bank.fault = dice.choice(FAULTS)
                await asyncio.sleep(0.002)
            assert worker.poll() is None, "the worker ended by itself"
            if len(bank.made) >= many:
                bank.fault = None
                await until(are_done, "the last payments")
            else:
                bank.fault = dice.choice((*FAULTS, "hangs"))  # it charges, and never answers
                await asyncio.sleep(dice.uniform(0, 0.03))
            worker.kill()
            await asyncio.to_thread(worker.wait)
            kills += 1
        took_s = time.perf_counter() - began_s
        counts = await counted(app, "payment-retry")
        once = sum(one == 1 for one in bank.charges.values())
        print(
            f"payments: {many} in {took_s:.1f} s, worker killed {kills} times: {once} charged once,"
            f" {len(bank.charges) - once} otherwise; jobs completed {counts.completed},"
            f" failed {counts.failed}",
            flush=True,
        )
        await app.close()


async def commissions(market: Market) -> None:
    """Add 20 commissions of one order at once, and count what was booked."""
    data: dict[str, Json] = {
        "orderId": "order", "buyerId": "b", "referrerId": "r", "orderAmountMinor": 5000,
        "currency": "USD", "eventType": "order_paid",
    }  # fmt: skip
    began_s = time.perf_counter()
    queue = market.app.queue("referral-commission")
    jobs = await queue.add_many([("calculate-commission", data)] * 20)
    ended = [await market.ended("referral-commission", job.id) for job in jobs]
    took_s = time.perf_counter() - began_s
    booked = sum(bool(one.result and one.result["booked"]) for one in ended)
    print(f"commissions: 20 jobs of one order in {took_s:.2f} s, {booked} booked", flush=True)


async def campaign(market: Market, many: int, sent: Callable[[], int]) -> None:
    """Send a campaign through the example, and say how many mails a second arrived."""
    program = f"""
        people = [{{"to": f"u{{n}}@example.com"}} for n in range({many})]
        await s.add_email_job(template="marketing", data={{"title": "Sale", "message": "Hi"}},
                              recipients=people, campaignId="bench")
    """
    before = sent()
    adding = asyncio.create_task(market.run(program))
    await until(_true_when(lambda: sent() > before), "the first mail")
    began_s, at_start = time.perf_counter(), sent()
    await adding
    await until(_true_when(lambda: sent() >= before + many), "the last mail")
    took_s = time.perf_counter() - began_s
    rate = (many - at_start) / took_s
    print(f"campaign: {many} mails, {rate:,.0f} mails/s after the first", flush=True)


async def events(folder: Path, many: int) -> None:
    """Aggregate events of 30 days into five metrics a day; say how long it took, and the memory."""
    address = f"sqlite:///{folder}/events.db"
    records = Records(address)
    await records.prepare(ANALYTICS)
    first_ms, span_ms = round(FIRST.timestamp() * 1000), DAYS * 86_400_000
    for start in range(0, many, 50_000):
        rows = [
            {
                "id": str(n), "kind": "purchase" if n % 10 == 0 else "page_view",
                "at_ms": first_ms + n * span_ms // many, "user_id": f"u{n * 7919 % 50_000}",
                "amount_minor": 1999 if n % 10 == 0 else None,
                "currency": "USD" if n % 10 == 0 else None,
            }
            for n in range(start, min(start + 50_000, many))
        ]  # fmt: skip
        async with records.begin() as connection:
            await connection.execute(EVENTS.insert(), rows)
    before_mb = _begin_peak()
    store = Analytics(records)
    async with App("sqlite://:memory:") as app:
        app.include(analytics)
        app.provide(store)
        end = (FIRST + timedelta(days=DAYS - 1)).date().isoformat()
        days = DateRange(start=FIRST.date().isoformat(), end=end)
        job = await app.bound(aggregate).enqueue("daily", days, METRICS)
        began_s = time.perf_counter()
        await app.worker().run(until_idle=True)
        took_s = time.perf_counter() - began_s
        rows_made = (await job.result()).rows
    await records.close()
    print(
        f"aggregation: {many:,} events, {rows_made} rows in {took_s:.1f} s,"
        f" {_peak_mb() - before_mb:.0f} MiB more than before",
        flush=True,
    )


async def neighbours(market: Market) -> None:
    """Say how long a file job waits beside 500 jobs of analytics (MP-4: less than a second)."""
    year: Json = {"type": "hourly", "dateRange": {"start": "2026-01-01", "end": "2026-02-28"}}
    await market.app.queue("analytics-aggregation").add_many([("aggregate-analytics", year)] * 500)
    waits = []
    for number in range(10):
        job = await market.add(
            "file-processing", "process-file",
            {"fileId": f"f{number}", "fileUrl": "nowhere.jpg", "fileName": "a.jpg",
             "fileType": "image/jpeg", "fileSize": 3, "userId": "u",
             "processingType": "virus_scan"},
            max_attempts=1,
        )  # fmt: skip
        info = await market.ended("file-processing", job)
        assert info.processed_at is not None
        waits.append((info.processed_at - info.created_at).total_seconds())
    counts = await counted(market.app, "analytics-aggregation")
    left = counts.waiting + counts.prioritized + counts.active
    print(
        f"MP-4: a file job began after {max(waits) * 1000:.0f} ms at most, {left} jobs of"
        " analytics in the queue",
        flush=True,
    )
    await market.app.queue("analytics-aggregation").drain()


async def connections(server: RedisServer, many: int) -> None:
    """Say how many connections a process has while so many adds go on at once (MP-59)."""
    redis = await _client(server)
    before = await _clients(redis)
    most = 0
    async with App(f"{server.url}?prefix=adds") as app:
        queues = [app.queue(f"q{number}") for number in range(8)]
        adding = [
            asyncio.create_task(queues[number % 8].add("nothing", {"n": number}))
            for number in range(many)
        ]
        while not all(one.done() for one in adding):
            most = max(most, await _clients(redis) - before)
        await asyncio.gather(*adding)
        most = max(most, await _clients(redis) - before)
    await redis.aclose()
    print(f"MP-59: {many} adds at once to 8 queues, at most {most} connections (12)", flush=True)


async def _client(server: RedisServer) -> Any:
    from redis.asyncio import Redis

    client = Redis.from_url(server.url)
    await client.ping()
    return client


async def _clients(redis: Any) -> int:
    return int((await redis.info("clients"))["connected_clients"])


def _true_when(is_so: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return is_so()

    return asked


def _begin_peak() -> float:
    """Have Linux count the most memory anew, and return what is in use, in MiB."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


PARTS = ("payments", "commissions", "mails", "events", "neighbours", "connections")


async def measure(store: str, given: argparse.Namespace) -> None:
    """Print the figures of one store."""
    parts = given.only
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server: RedisServer | None = None

        def url(name: str) -> str:
            if server is None:
                return f"sqlite:///{folder}/{name}.db"
            return f"{server.url}?prefix={name}-{secrets.token_hex(3)}"

        if store == "redis":
            server = stack.enter_context(RedisServer.start(folder))
        if "payments" in parts:
            await payments(url("payments"), given.payments)
        if "events" in parts:
            await events(folder, given.events)
        if "connections" in parts and server is not None:
            await connections(server, given.adds)
        if {"commissions", "mails", "neighbours"} & set(parts):
            inbox = stack.enter_context(receiving())
            market = Market(folder, url("market"), {"SMTP_URL": inbox.url})
            try:
                await market.run("pass")  # tables and keys
                await market.worker()
                if "commissions" in parts:
                    await commissions(market)
                if "mails" in parts:
                    await campaign(market, given.mails, lambda: len(inbox.mails))
                if "neighbours" in parts:
                    await neighbours(market)
            finally:
                await market.close()


def main() -> None:
    """Measure on one store, or on both."""
    given = asked_for(__doc__, PARTS, payments=1000, mails=10_000, events=1_000_000, adds=1000)
    for store in given.stores:
        print(f"{store}, load {os.getloadavg()[0]:.1f}:", flush=True)
        asyncio.run(measure(store, given))


if __name__ == "__main__":
    main()
