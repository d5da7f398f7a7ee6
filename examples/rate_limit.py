"""At most three starts in each half second, over all workers, kept in the store.

Run:
    python examples/rate_limit.py

Prints:
    window 1: letters 1 2 3
    window 2: letters 4 5 6
    window 3: letters 7
"""

import asyncio
import time

from toril import App, RateLimit

app = App("sqlite://:memory:")
WINDOW_S = 0.5
started_s: list[tuple[float, int]] = []


@app.task(queue="letters")
async def send(number: int) -> None:
    started_s.append((time.monotonic(), number))


async def main() -> None:
    await app.queue("letters").set_rate(RateLimit(limit=3, window_s=WINDOW_S))
    jobs = await send.enqueue_many([{"number": number} for number in range(1, 8)])

    async with app, app.worker():
        for job in jobs:
            await job.result(timeout_s=10)

    first_s = started_s[0][0]
    windows: dict[int, list[str]] = {}
    for at_s, number in started_s:
        # Half a window of tolerance: what matters is which burst a start belongs to.
        windows.setdefault(round((at_s - first_s) / WINDOW_S), []).append(str(number))
    for number, letters in enumerate(windows.values(), start=1):
        print(f"window {number}: letters {' '.join(letters)}")


if __name__ == "__main__":
    asyncio.run(main())
