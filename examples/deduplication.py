"""One job in place of many: the last draft only, and one more run for all that came meanwhile.

Run:
    python examples/deduplication.py

Prints:
    drafts: third
    ran: 1, 3
"""

import asyncio

from toril import App, Deduplication

app = App("sqlite://:memory:")
ran: list[int] = []
begun, go_on, twice = asyncio.Event(), asyncio.Event(), asyncio.Event()


@app.task(queue="drafts")
async def save(text: str) -> None: ...


@app.task(queue="sync")
async def sync(run: int) -> None:
    ran.append(run)
    begun.set()
    await go_on.wait()
    if len(ran) == 2:
        twice.set()


async def main() -> None:
    debounced = save.with_options(delay=5, deduplication=Deduplication("draft", replace=True))
    for text in ("first", "second", "third"):
        await debounced.enqueue(text=text)
    drafts = await app.queue("drafts").jobs("delayed")
    print("drafts:", *(job.data["text"] for job in drafts.jobs))

    latest = sync.with_options(deduplication=Deduplication("sync", keep_last_if_active=True))
    async with app, app.worker(queues=["sync"]):
        await latest.enqueue(run=1)
        await begun.wait()
        await latest.enqueue(run=2)
        await latest.enqueue(run=3)
        go_on.set()
        await twice.wait()
    print("ran:", ", ".join(map(str, ran)))


if __name__ == "__main__":
    asyncio.run(main())
