"""The content platform's figures: from an upload to its message, a large sync, Redis away 20 times.

    python -m benchmarks.content_platform [--store sqlite|redis] [--only messages sync outages]
        [--uploads 200] [--files 10000] [--outages 20]

API and worker are processes of their own, as deployed. The bucket of `redis` is a server of this
machine, written in Python: what it costs, all ways of the comparison pay alike.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.examples.content_platform.deployment import (
    BUCKET,
    SYNC,
    Deployment,
    camera_photo,
    deployed,
    message,
)
from tests.support.postgres import running_postgres
from tests.support.redis_server import RedisServer

from benchmarks.systems import asked_for, time_ms, until
from toril import App
from toril.library.images.files import publish
from toril.services.media.port import Rendition
from toril.services.media.records import MediaRecord
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.objects.opening import open_objects
from toril.services.rules.port import Rule
from toril.services.rules.sql import SqlRules

PARTS = ("messages", "sync", "outages")
VARIANTS = 4
AT_ONCE = 5
"""Jobs of `media-sync` that a worker runs at once, as shipped."""
EVENTS_PER_S = 20
PATIENCE_S = 180.0
"""How long the last events may take to arrive."""
SETTLE_S = 40.0
"""Longer than a lease: what would be run a second time has begun."""


async def messages(platform: Deployment, many: int) -> None:
    """Upload one photograph after another, and print how long each message took from the POST."""
    for width, height in ((400, 300), (4000, 3000)):
        photo = camera_photo(width, height)
        times = []
        async with platform.listen() as socket:
            for number in range(many + 5):
                began = time.perf_counter()
                told = await message(socket, await platform.upload(photo))
                if number >= 5:  # the first ones start processes
                    times.append(time.perf_counter() - began)
                assert told["type"] == "media.processed"
        print(
            f"POST to WebSocket, {width} x {height} to three sizes, one after another:"
            f" p50 {time_ms(times, 0.5):.0f} ms, p99 {time_ms(times, 0.99):.0f} ms ({many} uploads)"
        )


def make_media(platform: Deployment, many: int) -> list[str]:
    """Make media of small files, as image jobs leave them; return their ids."""
    url = platform.environment.get("DATABASE_URL", f"sqlite:///{platform.folder}/data/records.db")
    records = SqlMediaRecords(url)
    made = []
    for _ in range(many):
        media_id = secrets.token_hex(8)
        files = [
            Rendition(name=f"v{n}", width_px=16, height_px=16, content=secrets.token_bytes(2048))
            for n in range(VARIANTS)
        ]
        variants = publish(files, platform.media_root, f"company_photo/{media_id}")
        record = MediaRecord(
            media_id=media_id, entity_type="company_photo", original_filename="a.jpg", user_id=None,
            metadata={}, original_bytes=2048, source_path=f"{media_id}.jpg", variants=variants,
        )  # fmt: skip
        records.save(record)
        made.append(media_id)
    records.close()
    return made


async def plain_loop(platform: Deployment, files: list[Path]) -> float:
    """Put the files with obstore alone, as many at once as a worker does; return the seconds."""
    store = open_objects(platform.environment["STORAGE_URL"])
    left = list(files)

    async def put() -> None:
        while left:
            path = left.pop()
            await store.put(f"plain/{path.relative_to(platform.media_root)}", path)

    began = time.perf_counter()
    await asyncio.gather(*[put() for _ in range(AT_ONCE)])
    took = time.perf_counter() - began
    await store.close()
    return took


async def rclone(platform: Deployment, target: str) -> float:
    """Copy the folder with rclone; return the seconds."""
    began = time.perf_counter()
    running = await asyncio.create_subprocess_exec(
        "rclone", "copy", str(platform.media_root), target, "--transfers", str(AT_ONCE),
        "--config", "/dev/null",
    )  # fmt: skip
    assert await running.wait() == 0
    return time.perf_counter() - began


def rclone_target(platform: Deployment) -> str:
    """Return where rclone copies to: the same bucket, or the same disk."""
    url = platform.environment["STORAGE_URL"]
    if url.startswith("file://"):
        return f"{platform.folder}/rclone"
    endpoint = url.partition("endpoint=")[2].partition("&")[0]
    keys = "access_key_id=key,secret_access_key=secret,provider=Other,force_path_style=true"
    return f":s3,{keys},region=us-east-1,endpoint='{endpoint}':{BUCKET}/rclone"


async def sync(platform: Deployment, files: int) -> None:
    """Have all media sent to the storage, once and again; print objects a second."""
    ids = await asyncio.to_thread(make_media, platform, files // VARIANTS)
    paths = [path for one in ids for path in platform.media_root.glob(f"*/{one}/*")]
    assert len(paths) == len(ids) * VARIANTS
    async with App(platform.store_url) as app:
        for what in ("sent", "equal, not sent again"):
            before = await app.queue(SYNC).info()
            done = 0 if before is None else before.completed_total
            began = time.perf_counter()
            for start in range(0, len(ids), 1000):
                body = {"mediaIds": ids[start : start + 1000], "operation": "upload"}
                answer = await platform.ask("POST", "/media/sync", body)
                assert answer.status_code == 202, answer.text

            async def all_done(goal: int = done + len(ids)) -> bool:
                info = await app.queue(SYNC).info()
                assert info is not None
                assert info.failed_total == 0
                return info.completed_total >= goal

            await until(all_done, "the sync")
            took = time.perf_counter() - began
            print(
                f"sync of {len(paths)} files in {len(ids)} jobs, {what}: {len(paths) / took:.0f}/s"
            )
    took = await plain_loop(platform, paths)
    print(f"  a plain obstore loop, {AT_ONCE} at once: {len(paths) / took:.0f}/s")
    if shutil.which("rclone"):
        took = await rclone(platform, rclone_target(platform))
        print(f"  rclone, {AT_ONCE} at once: {len(paths) / took:.0f}/s")


def sent(platform: Deployment) -> Counter[str]:
    """Return how often the provider was given each message."""
    return Counter(str(one["to"]) for one in list(platform.telegram.taken))


async def outages(platform: Deployment, redis: RedisServer, rounds: int) -> None:
    """Kill Redis again and again while events come in; count what is lost and what is doubled.

    Each event is a message to a chat of its own, which nothing but the queue keeps from being sent
    twice: the provider counts them.
    """
    rules = SqlRules(platform.environment["DATABASE_URL"])
    options = {"to": "{{ payload.n }}", "text": "x"}
    await rules.save_rule(Rule(id="c", event="counted", channel="telegram", options=options))
    await rules.close()
    taken: list[int] = []
    answers: list[float] = []
    stop = asyncio.Event()

    async def tell() -> None:
        number = 0
        async with platform.http() as http:
            while not stop.is_set():
                body = {"event": "counted", "id": str(number), "payload": {"n": str(number)}}
                began = time.perf_counter()
                answer = await http.post("/api/admin/events", json=body)
                answers.append(time.perf_counter() - began)
                if answer.status_code == 202:
                    taken.append(number)
                number += 1
                await asyncio.sleep(1 / EVENTS_PER_S)

    async def kind(wanted: str) -> bool:
        answer = await platform.ask("GET", "/media/queue")
        return bool(answer.status_code == 200 and answer.json()["processing"]["type"] == wanted)

    telling = asyncio.create_task(tell())
    away, back = [], []
    for number in range(rounds):
        print(f"  outage {number + 1} of {rounds}", end="\r", flush=True)
        await asyncio.sleep(1)
        began = time.perf_counter()
        await asyncio.to_thread(redis.kill)
        await until(lambda: kind("in-memory"), "the other store")
        away.append(time.perf_counter() - began)
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.restart)
        began = time.perf_counter()
        await until(lambda: kind("bull"), "Redis again")
        back.append(time.perf_counter() - began)
    await asyncio.sleep(1)
    stop.set()
    await telling
    end_s = time.monotonic() + PATIENCE_S
    while len(found := sent(platform)) < len(taken) and time.monotonic() < end_s:
        await asyncio.sleep(1)
    await asyncio.sleep(SETTLE_S)
    found = sent(platform)
    lost = sum(str(number) not in found for number in taken)
    doubled = sum(many > 1 for many in found.values())
    print(
        f"{rounds} outages of Redis, {len(taken)} events taken: {lost} lost, {doubled} doubled;"
        f" the other store after {time_ms(away, 0.5):.0f} ms,"
        f" Redis again after {time_ms(back, 0.5):.0f} ms; an event was answered in"
        f" {time_ms(answers, 0.5):.0f} ms, 99 of 100 in {time_ms(answers, 0.99):.0f} ms,"
        f" all in {max(answers) * 1000:.0f} ms"
    )


async def measure(
    platform: Deployment, redis: RedisServer | None, given: argparse.Namespace
) -> None:
    """Print the figures of one store."""
    parts = given.only
    if "messages" in parts:
        await messages(platform, given.uploads)
    if "sync" in parts:
        await sync(platform, given.files)
    if "outages" in parts and redis is not None:
        await outages(platform, redis, given.outages)


def main() -> None:
    """Measure on one store, or on both."""
    given = asked_for(__doc__, PARTS, uploads=200, files=10_000, outages=20)
    for store in given.stores:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            urls: dict[str, Any] = {}
            redis = None
            if store == "redis":
                options = ("--appendonly", "yes", "--appendfsync", "always")
                (folder / "redis").mkdir()
                redis = stack.enter_context(RedisServer.start(folder / "redis", options=options))
                urls = {"redis_url": redis.url}
                urls["postgres_url"] = stack.enter_context(running_postgres())
            platform = stack.enter_context(deployed(folder, store, **urls))
            platform.start_api()
            platform.start_worker()
            print(f"{store}:")
            asyncio.run(measure(platform, redis, given))


if __name__ == "__main__":
    main()
