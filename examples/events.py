"""The log of a queue: everything that happened, in order, for any process to read or follow.

Run:
    python examples/events.py

Prints:
    paused
    added 1
    waiting 1
    resumed
    active 1
    progress 1
    completed 1
    drained
"""

import asyncio

from toril import App, Context

app = App("sqlite://:memory:")


@app.task(queue="paint")
async def paint(context: Context, colour: str) -> str:
    context.progress(50)
    return f"a {colour} car"


async def main() -> None:
    queue = app.queue("paint")
    await queue.pause()
    await paint.enqueue(colour="blue")
    await queue.resume()

    await app.worker().run(until_idle=True)

    # `after=0` begins with the oldest event kept. Without `until_idle` this goes on for ever.
    async for event in queue.events(after=0, until_idle=True):
        print(event.name, event.job_id or "")
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
