"""Starts and stops workers in one process, one after another; tells what is left of each.

The argument: how many. Each does a job on the loop, in a thread and in a process. Prints, as JSON
after each worker, this process's threads, descriptors and children.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import psutil
from tests.faults.programs.tasks import app

NAMES = {"loop": "mark_on_loop", "thread": "mark_in_thread", "process": "mark_in_process"}


async def main(many: int) -> None:
    for _ in range(many):
        worker = app.worker(queues=list(NAMES))
        running = asyncio.create_task(worker.run())
        jobs = [await app.queue(queue).add(name, {}) for queue, name in NAMES.items()]
        for job in jobs:
            await job.result(timeout_s=60)
        worker.stop()
        await running
        await app.close()
        this = psutil.Process()
        left = {
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "fds": this.num_fds(),
            "children": len(this.children(recursive=True)),
        }
        print(json.dumps(left), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
