"""A task, a job of it, a worker that runs the job, and what came of it.

Run:
    python examples/first_job.py

Prints:
    job 1 is in the queue 'greetings'
    Hello, Jo!
    completed after 1 attempt
"""

import asyncio

from toril import App

app = App("sqlite://:memory:")  # without a URL, jobs live in ./toril.db


@app.task(queue="greetings")
async def greet(name: str) -> str:
    return f"Hello, {name}!"


async def main() -> None:
    job = await greet.enqueue(name="Jo")
    print(f"job {job.id} is in the queue {job.queue!r}")

    # Mostly `toril worker first_job:app` does this, in a process of its own, and for ever.
    await app.worker().run(until_idle=True)

    print(await job.result())
    info = await job.info()
    print(f"{info.state} after {info.attempts_made} attempt")
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
