"""The four outcomes that a task may raise. None of them is an error.

Run:
    python examples/outcomes.py

Prints:
    retry    completed  attempts that count 2, starts 2
    snooze   completed  attempts that count 1, starts 2
    cancel   failed     attempts that count 1, starts 1: the order was withdrawn
    fail     failed     attempts that count 1, starts 1: no such customer
"""

import asyncio

from toril import App, Cancel, Context, Fail, JobFailedError, Retry, Snooze

app = App("sqlite://:memory:")
snoozed: set[str] = set()


@app.task(queue="orders")
async def ship(context: Context, wish: str) -> None:
    match wish:
        case "retry" if context.attempt == 1:
            raise Retry("429, busy", after_s=0.05)  # counts as an attempt
        case "snooze" if context.job_id not in snoozed:
            snoozed.add(context.job_id)
            raise Snooze(after_s=0.05)  # does not count
        case "cancel":
            raise Cancel("the order was withdrawn")  # not wanted any more
        case "fail":
            raise Fail("no such customer")  # another attempt would not help


async def main() -> None:
    async with app, app.worker():
        for wish in ("retry", "snooze", "cancel", "fail"):
            job = await ship.enqueue(wish=wish)
            reason = ""
            try:
                await job.result(timeout_s=10)
            except JobFailedError as failure:
                reason = f": {failure}"
            info = await job.info()
            made = f"attempts that count {info.attempts_made}, starts {info.attempts_started}"
            print(f"{wish:8} {info.state:10} {made}{reason}")


if __name__ == "__main__":
    asyncio.run(main())
