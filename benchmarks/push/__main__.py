"""Pushes a second of one process against a local push service, beside pywebpush.

    python -m benchmarks.push [--pushes 2000]

Each row sends the same messages to the same subscriptions, 50 in flight. Every subscription has a
key of its own; the message is 100 bytes. "CPU" is of this process, for each push.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pywebpush import webpush_async

from toril import App, Job, KeepPolicy
from toril.library.push import PushPayload, PushService, PushSettings, batches
from toril.library.push.tasks import push, send, send_batch
from toril.services.http.egress import EgressPolicy
from toril.services.push.base64url import encoded
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.push.port import PushMessage, Subscription
from toril.services.push.vapid import VapidKeys
from toril.services.push.web_push import WebPusher

AT_ONCE = 50
WARM_UP = 100
SUBJECT = "mailto:bench@example.com"
PAYLOAD = PushPayload(title="New message in Team", body="Shall we meet at noon?", url="/chat/r1")


async def main(many: int, port: int, folder: Path) -> None:
    keys = VapidKeys.generate(SUBJECT)
    subscriptions = [subscription(port, number) for number in range(many)]
    rows = [
        ("pywebpush, webpush_async", await by_pywebpush(keys, subscriptions)),
        ("WebPusher alone", await by_pusher(keys, subscriptions)),
        ("one worker, a job a user", await by_jobs(keys, subscriptions, folder, each=True)),
        (
            "one worker, batches of 500 users",
            await by_jobs(keys, subscriptions, folder, each=False),
        ),
    ]
    first_s = rows[0][1][0]
    print(f"{many} pushes, {AT_ONCE} in flight, SQLite store, Python {sys.version.split()[0]}\n")
    print(f"{'':34}{'pushes/s':>10}{'CPU ms':>9}{'beside':>9}")
    for name, (wall_s, cpu_s) in rows:
        rate, cpu_ms = many / wall_s, 1000 * cpu_s / many
        print(f"{name:34}{rate:>10.0f}{cpu_ms:>9.2f}{first_s / wall_s:>8.2f}x")


async def by_pywebpush(keys: VapidKeys, subscriptions: list[Subscription]) -> tuple[float, float]:
    data = json.dumps({"title": PAYLOAD.title, "body": PAYLOAD.body, "url": PAYLOAD.url})
    async with aiohttp.ClientSession() as session:

        async def one(to: Subscription) -> None:
            answer: Any = await webpush_async(
                subscription_info={
                    "endpoint": to.endpoint,
                    "keys": {"p256dh": to.p256dh, "auth": to.auth},
                },
                data=data,
                vapid_private_key=keys.private_key,
                vapid_claims={"sub": SUBJECT},
                ttl=86_400,
                aiohttp_session=session,
            )
            assert answer.status == 201

        return await timed(subscriptions, one)


async def by_pusher(keys: VapidKeys, subscriptions: list[Subscription]) -> tuple[float, float]:
    pusher = WebPusher(keys, policy=EgressPolicy(["127.0.0.1"]))
    service = PushService(
        pusher=pusher, subscriptions=MemorySubscriptions(), settings=PushSettings()
    )
    message: PushMessage = service.message(PAYLOAD)

    async def one(to: Subscription) -> None:
        verdict = await pusher.send(to, message)
        assert verdict.kind == "delivered", verdict

    try:
        return await timed(subscriptions, one)
    finally:
        await pusher.close()


async def timed(
    subscriptions: list[Subscription], one: Callable[[Subscription], Awaitable[None]]
) -> tuple[float, float]:
    """Return the seconds and the processor's seconds of sending to all."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def bounded(to: Subscription) -> None:
        async with slots:
            await one(to)

    await asyncio.gather(*(bounded(to) for to in subscriptions[:WARM_UP]))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(bounded(to) for to in subscriptions))
    return time.perf_counter() - wall, time.process_time() - cpu


async def by_jobs(
    keys: VapidKeys, subscriptions: list[Subscription], folder: Path, *, each: bool
) -> tuple[float, float]:
    """The same by a worker: subscriptions in SQLite, jobs in SQLite, on the disk."""
    name = "each" if each else "batches"
    settings = PushSettings(
        vapid=keys,
        egress_allow=("127.0.0.1",),
        database_url=f"sqlite:///{folder}/{name}-push.db",
        concurrency=AT_ONCE,
    )
    users = [f"u{number}" for number in range(len(subscriptions))]
    async with PushService(settings) as service, App(f"sqlite:///{folder}/{name}.db") as app:
        app.include(push)
        app.provide(service)
        await asyncio.gather(
            *(service.subscriptions.add(*one) for one in zip(users, subscriptions, strict=True))
        )
        jobs: list[Job[Any]] = []
        if each:
            task = app.bound(send).with_options(keep_completed=KeepPolicy())
            payloads = [{"user_id": user, "payload": PAYLOAD} for user in users]
            jobs += await task.enqueue_many(payloads)
        else:
            jobs += await app.bound(send_batch).enqueue_many(batches(users, PAYLOAD))
        wall, cpu = time.perf_counter(), time.process_time()
        worker = app.worker(queues=["push-notifications"], concurrency=AT_ONCE if each else 1)
        await worker.run(until_idle=True)
        spent = time.perf_counter() - wall, time.process_time() - cpu
        results = [(await job.info()).result for job in jobs]
        assert sum(result["sent"] for result in results) == len(users), results[:3]
        return spent


def subscription(port: int, number: int) -> Subscription:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Subscription(
        endpoint=f"http://127.0.0.1:{port}/send/{number}",
        p256dh=encoded(point),
        auth=encoded(number.to_bytes(16, "big")),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push")
    parser.add_argument("--pushes", type=int, default=2000)
    chosen = parser.parse_args()
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.push.endpoint"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert endpoint.stdout is not None
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(chosen.pushes, int(endpoint.stdout.readline()), Path(made)))
    finally:
        endpoint.kill()
        endpoint.wait()
