"""Who runs first: jobs without a priority, then by priority, then whoever was delayed.

Run:
    python examples/delays_and_priorities.py

Prints:
    in line: front, first, second, urgent, low
    they ran: front first second urgent low later
"""

import asyncio
from datetime import timedelta

from toril import App, Priority, State

app = App("sqlite://:memory:")
ran: list[str] = []


@app.task(queue="letters")
async def deliver(name: str) -> None:
    ran.append(name)


async def main() -> None:
    last = await deliver.with_options(delay=timedelta(seconds=2)).enqueue(name="later")
    await deliver.with_options(priority=Priority.LOW).enqueue(name="low")
    await deliver.with_options(priority=Priority.URGENT).enqueue(name="urgent")
    await deliver.enqueue(name="first")  # no priority: before all that have one
    await deliver.enqueue(name="second")
    await deliver.with_options(lifo=True).enqueue(name="front")

    letters = app.queue("letters")
    line = []
    for state in (State.WAIT, State.PRIORITIZED):
        line += [job.data["name"] for job in (await letters.jobs(state)).jobs]
    print("in line:", ", ".join(line))

    # one at a time, so that the order can be seen
    async with app, app.worker(concurrency=1):
        await last.result(timeout_s=10)
    print("they ran:", *ran)


if __name__ == "__main__":
    asyncio.run(main())
