"""A worker of jobs that do nothing, or that fail, in a process of its own.

Run: `python -m benchmarks.web.worker URL QUEUE`.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from toril import App, RetryPolicy

BUSY = "busy"
BROKEN = "broken"
"""All jobs of this queue fail."""


def app_of(url: str) -> App:
    """Return an app with a task for each queue."""
    app = App(url)

    @app.task(queue=BUSY)
    async def nothing(n: int) -> None:
        pass

    @app.task(queue=BROKEN, retry=RetryPolicy(max_attempts=1))
    async def fails(n: int) -> None:
        raise TimeoutError("the gateway does not answer")

    return app


async def main(url: str, queue: str) -> None:
    """Work until told to stop."""
    async with app_of(url) as app:
        worker = app.worker(queues=[queue], concurrency=50)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
