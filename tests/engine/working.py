"""What the tests of the engine share: a worker beside the test, an app that looks at nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from toril import App, RetryPolicy, Settings, Worker

ONCE = RetryPolicy(max_attempts=1)


def memory_app() -> App:
    """Return an app in memory on the host's own clock."""
    return App("sqlite://:memory:", settings=Settings())


def file_app(folder: Path) -> App:
    """Return an app on a file; another call gives another app on the same."""
    return App(f"sqlite:///{folder}/toril.db", durability="normal", settings=Settings())


@asynccontextmanager
async def working(app: App, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker beside the test; stop it at once when the test is done."""
    worker = app.worker(**options)
    running = asyncio.create_task(worker.run())
    await worker.ready()
    try:
        yield worker
    finally:
        worker.stop(0)
        await running
