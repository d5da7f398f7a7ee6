"""Stopping a job for good: while it waits, on the loop, and in a thread.

Run:
    python examples/cancellation.py

Prints:
    waiting: failed, nobody wants it
    on_loop: failed, the user left
    in_thread: stops between two steps
    in_thread: failed, the user left
"""

import asyncio
import time
from contextlib import suppress

from toril import App, Context, EventName, Job, JobFailedError

app = App("sqlite://:memory:")


@app.task(queue="long")
async def on_loop() -> None:
    await asyncio.sleep(60)  # raises CancelledError here, so `finally` blocks run


@app.task(queue="long")
def in_thread(context: Context) -> None:
    while not context.cancelled:  # a thread has to look; `context.sleep` does so as well
        time.sleep(0.01)
    print("in_thread: stops between two steps")


async def show(words: str, job: Job[None]) -> None:
    with suppress(JobFailedError):
        await job.result(timeout_s=10)
    info = await job.info()
    print(f"{words}: {info.state}, {info.failed_reason}")


async def main() -> None:
    job = await on_loop.enqueue()
    await job.cancel("nobody wants it")
    await show("waiting", job)

    # how soon a cancellation is seen: a third of it, 1 s at most
    async with app, app.worker(lease=0.3):
        for task in (on_loop, in_thread):
            job = await task.enqueue()
            async for event in app.queue("long").events(after=0):
                if (event.name, event.job_id) == (EventName.ACTIVE, job.id):
                    break
            await job.cancel("the user left")
            await show(task.name, job)


if __name__ == "__main__":
    asyncio.run(main())
