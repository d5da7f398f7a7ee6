"""The log of a queue: everything that happened, in order, for any process to read or follow.

Run:
    python examples/events.py

Prints:
    1 paused
    2 added 1
    3 waiting 1
    4 resumed
    5 active 1
    6 progress 1
    7 completed 1
    8 drained
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
        print(event.position, event.name, event.job_id or "")
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
