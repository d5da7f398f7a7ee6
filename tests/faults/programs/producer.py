"""A producer: adds jobs to some queues in turn, and tells each id once it is stored.

The first argument is JSON: `many` jobs, `together` so many at a time, in `queues`, each padded with
`padding_bytes`. What is printed was acknowledged: `queue/id`, one line each. An error is printed as
`! <kind>: <text>`, and the job is tried again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from tests.faults.programs.tasks import app

from toril import BackendError

NAMES = {"loop": "mark_on_loop", "thread": "mark_in_thread", "process": "mark_in_process"}


async def main(many: int, together: int, queues: list[str], padding_bytes: int = 0) -> None:
    async with app:
        for start in range(0, many, together):
            numbers = range(start, min(start + together, many))
            added = [add(queues[number % len(queues)], padding_bytes) for number in numbers]
            await asyncio.gather(*added)


async def add(queue: str, padding_bytes: int) -> None:
    payload = {"padding": "x" * padding_bytes}
    while True:
        try:
            job = await app.queue(queue).add(NAMES[queue], payload)
        except BackendError as error:
            tell(f"! {type(error).__name__}: {error}")
            await asyncio.sleep(0.05)
        else:
            tell(f"{queue}/{job.id}")
            return


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
