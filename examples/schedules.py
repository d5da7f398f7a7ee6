"""A task by a schedule: declared above it, changed by a call, run by a clock that a test moves.

Run:
    python examples/schedules.py

Prints:
    a day: 4 syncs, 1 report
    next report: 2025-06-17 06:00 CEST
    after three days without a worker: 1 report, 2 slots told as missed
"""

import asyncio
import logging
from datetime import timedelta
from zoneinfo import ZoneInfo

from toril.testing import MemoryApp

logging.getLogger("toril.schedules").setLevel(logging.ERROR)  # it would say that slots were missed
app = MemoryApp()  # its clock stands still until it is moved; otherwise it is like any app


@app.schedule("0 6 * * *", timezone="Europe/Berlin")
@app.task(queue="reports")
async def report(date: str | None = None) -> str:
    return date or "today"


@app.task(queue="sync")
async def sync(bucket: str) -> str:
    return bucket


async def main() -> None:
    async with app:
        await app.schedules.put("sync-a", sync, {"bucket": "a"}, every=timedelta(hours=6))
        ran = [event.task for event in (await app.run_for(timedelta(days=1))).completed]
        print(f"a day: {ran.count('sync')} syncs, {ran.count('report')} report")

        daily = await app.schedules.get("report")
        assert daily is not None
        assert daily.next_at is not None
        berlin = daily.next_at.astimezone(ZoneInfo("Europe/Berlin"))
        print(f"next report: {berlin:%Y-%m-%d %H:%M %Z}")

        await app.schedules.pause("sync-a")
        app.clock.advance(3 * 86_400)  # nobody works meanwhile
        late = await app.run_until_idle()
        events = app.queue("reports").events(after=0, until_idle=True)
        dropped = [int(one.fields["dropped"]) async for one in events if one.name == "missed"]
        print(
            f"after three days without a worker: {len(late.completed)} report,"
            f" {sum(dropped)} slots told as missed"
        )


if __name__ == "__main__":
    asyncio.run(main())
