"""A worker as a supervisor runs it. The first argument: what to give to `app.worker`, as JSON.

Prints `ready <worker id>`, then one line for each hook event of interest. SIGTERM stops it, a
second one at once. Exit code 0: it was stopped. 1: it ended with an error, told on stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys

from tests.faults.programs.tasks import app

from toril import BackendError, HookEvent, ProcessOptions


@app.on("lease_lost")
@app.on("stalled")
@app.on("blocked")
def tell(event: HookEvent) -> None:
    print(event.name, event.job_id or event.reason, flush=True)


async def main() -> None:
    options = json.loads(sys.argv[1])
    if "processes" in options:
        options["processes"] = ProcessOptions(**options["processes"])
    worker = app.worker(**options)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    running = asyncio.create_task(worker.run())
    ready = asyncio.create_task(worker.ready())
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    print("ready", worker.id, flush=True)
    try:
        await running
    finally:
        await app.close()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(main())
    except BackendError as error:
        sys.exit(f"worker: {type(error).__name__}: {error}")
