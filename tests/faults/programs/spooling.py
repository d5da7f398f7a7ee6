"""A program whose app has a fallback store.

`produce FIRST COUNT RATE`: adds jobs and prints `key milliseconds` for each that was acknowledged.
`work`: runs them until it is told to stop. Each run is a row of `TORIL_TEST_MARKS`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time

from toril import App, HookEvent, TorilError

app = App()


@app.task(queue="marks")
def mark(key: int) -> int:
    connection = sqlite3.connect(os.environ["TORIL_TEST_MARKS"], timeout=30)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("INSERT INTO runs VALUES (?, ?)", (key, os.getpid()))
        connection.commit()
    finally:
        connection.close()
    return key


@app.on("switched")
def tell(event: HookEvent) -> None:
    print(f"switch {event.source} {event.target} {time.time():.3f} {event.reason}", flush=True)


async def produce(first: int, count: int, rate: float) -> None:
    app.backend()  # made now: its files are not what is timed
    adding: set[asyncio.Task[None]] = set()

    async def add(key: int) -> None:
        task = mark
        if key % 50 == 7:
            task = mark.with_options(delay=1.0)
        elif key % 50 == 17:
            task = mark.with_options(job_id=f"own-{key}")
        elif key % 50 == 27:
            task = mark.with_options(priority=5)
        begun_s, at_s = time.perf_counter(), time.time()
        try:
            await task.enqueue(key=key)
        except TorilError as error:
            print(f"refused {key} {type(error).__name__}: {error}", flush=True)
        else:
            took_ms = (time.perf_counter() - begun_s) * 1000
            print(f"{key} {took_ms:.2f} {at_s:.3f}", flush=True)

    begun_s = time.monotonic()
    for number in range(count):
        await asyncio.sleep(begun_s + number / rate - time.monotonic())
        one = asyncio.create_task(add(first + number))
        adding.add(one)
        one.add_done_callback(adding.discard)
    await asyncio.gather(*adding)
    print("added", flush=True)
    await asyncio.to_thread(sys.stdin.read)  # the spool is worked here too, until we are ended


async def work() -> None:
    worker = app.worker(concurrency=10)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    print("ready", flush=True)
    await worker.run()


async def main() -> None:
    async with app:
        if sys.argv[1] == "produce":
            await produce(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
        else:
            await work()


if __name__ == "__main__":
    asyncio.run(main())
