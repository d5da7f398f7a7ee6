"""A task that fails twice and then does not, and one for which no further attempt would help.

Run:
    python examples/retries.py

Prints:
    attempt 1 of 3: ConnectionError: the bank does not answer
    attempt 2 of 3: ConnectionError: the bank does not answer
    paid 120 on attempt 3
    retried retried completed
    no second attempt: ValueError: an amount of -5
"""

import asyncio

from toril import App, Context, HookEvent, JobFailedError, RetryPolicy

app = App("sqlite://:memory:")

# Waits 0.1 s, then 0.2 s. A wrong amount stays wrong: it is not tried again.
CAREFUL = RetryPolicy(max_attempts=3, base_s=0.1, give_up_on=(ValueError,))


@app.task(queue="payments", retry=CAREFUL)
async def pay(context: Context, amount: int) -> str:
    if amount < 0:
        raise ValueError(f"an amount of {amount}")
    if context.attempt < 3:
        raise ConnectionError("the bank does not answer")
    return f"paid {amount} on attempt {context.attempt}"


@app.on("retried")
def tell(event: HookEvent) -> None:
    print(f"attempt {event.attempt} of 3: {event.reason}")


async def main() -> None:
    async with app, app.worker():
        job = await pay.enqueue(amount=120)
        print(await job.result(timeout_s=10))
        print(*(attempt.outcome for attempt in (await job.info()).attempts))

        try:
            await (await pay.enqueue(amount=-5)).result(timeout_s=10)
        except JobFailedError as failure:
            print(f"no second attempt: {failure}")


if __name__ == "__main__":
    asyncio.run(main())
