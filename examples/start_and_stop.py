"""A client that is made when a worker starts, given to tasks, and closed when the worker stops.

Run:
    python examples/start_and_stop.py

Prints:
    open
    Jo lives in Berlin
    closed
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from toril import App, provided


class Directory:
    """Stands for a client that holds connections."""

    async def look_up(self, name: str) -> str:
        """Return where somebody lives."""
        return f"{name} lives in Berlin"


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[Directory]:
    print("open")
    yield Directory()  # jobs run here
    print("closed")


app = App("sqlite://:memory:", lifespan=lifespan)


@app.task(queue="mail")
async def find(name: str, *, directory: Directory = provided(Directory)) -> str:
    return await directory.look_up(name)


async def main() -> None:
    async with app, app.worker():
        job = await find.enqueue(name="Jo")
        print(await job.result(timeout_s=10))


if __name__ == "__main__":
    asyncio.run(main())
