"""Tasks in processes: for work that needs a core of its own, and for code that may crash or hang.

Run:
    python examples/process_tasks.py

Prints:
    1,229 primes below 10,000, counted in another process: True
    crash failed: killed by SIGKILL
    hang failed: AttemptTimeoutError: ran longer than timeout_s=0.5
"""

import asyncio
import os
import signal

from toril import App, JobFailedError, RetryPolicy

app = App("sqlite://:memory:")
ONCE = RetryPolicy(max_attempts=1)


@app.task(queue="numbers", run_in="process")
def count_primes(below: int) -> tuple[int, int]:
    found = [n for n in range(2, below) if all(n % p for p in range(2, int(n**0.5) + 1))]
    return len(found), os.getpid()


@app.task(queue="numbers", run_in="process", retry=ONCE)
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out


@app.task(queue="numbers", run_in="process", retry=ONCE, timeout=0.5)
def hang() -> None:
    while True:
        pass


async def main() -> None:
    async with app, app.worker():
        primes, pid = await (await count_primes.enqueue(below=10_000)).result(timeout_s=30)
        print(f"{primes:,} primes below 10,000, counted in another process: {pid != os.getpid()}")
        for task in (crash, hang):
            try:
                await (await task.enqueue()).result(timeout_s=30)
            except JobFailedError as failure:
                why = "killed by SIGKILL" if "SIGKILL" in str(failure) else failure
                print(f"{task.name} failed: {why}")


if __name__ == "__main__":  # children import this file, and must not start a worker again
    asyncio.run(main())
