"""Your tasks in your tests: a real worker on a store in memory, and a clock that the test moves.

Run:
    python examples/testing_tasks.py       (or: pytest examples/testing_tasks.py)

Prints:
    welcome comes a day later: passed
    a wrong address is tried three times: passed
"""

import asyncio
from datetime import timedelta

from toril import App, RetryPolicy
from toril.testing import in_memory

# The program. Its file is never opened here.
app = App("sqlite:////var/lib/shop/jobs.db")


@app.task(queue="mail", retry=RetryPolicy(max_attempts=3, base_s=60))
async def send_welcome(to: str) -> str:
    if "@" not in to:
        raise ValueError(f"{to} is no address")
    return f"sent to {to}"


async def register(to: str) -> None:
    await send_welcome.with_options(delay=timedelta(days=1)).enqueue(to=to)


# The tests.
async def test_welcome_comes_a_day_later() -> None:
    async with in_memory(app) as bench:
        await register("jo@example.com")
        ran = await bench.run_until_idle()
        assert ran.completed == []

        bench.clock.advance(86_400)
        ran = await bench.run_until_idle()
        assert [event.result for event in ran.completed] == ['"sent to jo@example.com"']


async def test_wrong_address_is_tried_three_times() -> None:
    async with in_memory(app) as bench:
        await register("nobody")
        ran = await bench.run_until_idle(advance=True)  # from one moment to the next
        assert [event.attempt for event in ran.retried] == [1, 2]
        assert [event.reason for event in ran.failed] == ["ValueError: nobody is no address"]


if __name__ == "__main__":
    asyncio.run(test_welcome_comes_a_day_later())
    print("welcome comes a day later: passed")
    asyncio.run(test_wrong_address_is_tried_three_times())
    print("a wrong address is tried three times: passed")
