"""Code of the app around every attempt, and functions that are told what its workers see.

Run:
    python examples/hooks_and_middleware.py

Prints:
    -> share, job 1
    <- share
    hook: completed 4
    -> share, job 2
    <- share
    hook: failed ZeroDivisionError: integer division or modulo by zero
"""

import asyncio
from contextlib import suppress
from typing import Any

from toril import App, Call, Context, HookEvent, JobFailedError, RetryPolicy

app = App("sqlite://:memory:")


@app.task(queue="sums", retry=RetryPolicy(max_attempts=1))
async def share(cakes: int, people: int) -> int:
    return cakes // people


@app.middleware
async def traced(context: Context, call: Call) -> Any:
    print(f"-> {context.task}, job {context.job_id}")
    try:
        return await call()
    finally:
        print(f"<- {context.task}")


@app.on("completed")
def completed(event: HookEvent) -> None:
    print("hook: completed", event.result)  # JSON text


@app.on("failed")
async def failed(event: HookEvent) -> None:  # plain or async, as you like
    print("hook: failed", event.reason)


async def main() -> None:
    async with app, app.worker():
        for people in (3, 0):
            with suppress(JobFailedError):
                await (await share.enqueue(cakes=12, people=people)).result(timeout_s=10)


if __name__ == "__main__":
    asyncio.run(main())
