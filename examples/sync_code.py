"""Plain code, without async: a web view adds a job, a script reads the result.

Run:
    python examples/sync_code.py

Prints:
    the view answers 202, job 1
    the job is wait
    the worker has run it
    the script reads 5050
"""

import asyncio
import tempfile
from pathlib import Path

from toril import App, Job

folder = tempfile.TemporaryDirectory()
app = App(f"sqlite:///{Path(folder.name) / 'jobs.db'}")


@app.task(queue="sums")
def add_up(numbers: list[int]) -> int:  # a plain function: it runs in a thread
    return sum(numbers)


def view() -> Job[int]:
    """Stand for a view of Django or Flask, which has no event loop."""
    job = add_up.enqueue_sync(numbers=list(range(101)))
    print(f"the view answers 202, job {job.id}")
    return job


async def work() -> None:
    """Stand for `toril worker`, which is another process."""
    await app.worker().run(until_idle=True)
    print("the worker has run it")


if __name__ == "__main__":
    added = view()
    print(f"the job is {added.info_sync().state}")
    asyncio.run(work())
    print(f"the script reads {added.result_sync(timeout_s=10)}")
    app.close_sync()
    folder.cleanup()
