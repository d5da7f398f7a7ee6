"""Ready-made tasks: figures of events, a row for each metric and day, replaced when computed again.

Needs the extra `records`.

Run:
    python examples/analytics.py

Prints:
    6 rows
    page_views [2.0, 1.0, 0.0]
    conversion_rate [0.5, 0.0, None]
"""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from toril import App
from toril.library.analytics import DateRange
from toril.library.analytics.tasks import aggregate, analytics
from toril.services.analytics.sql import Analytics, Event

METRICS = ["page_views", "conversion_rate"]
app = App("sqlite://:memory:")
app.include(analytics)


async def main(folder: Path) -> None:
    store = Analytics(f"sqlite:///{folder}/shop.db")
    app.provide(store)
    day = datetime(2026, 11, 1, tzinfo=UTC)
    await store.add(
        Event(id="1", kind="page_view", at=day, user_id="jo"),
        Event(id="2", kind="page_view", at=day, user_id="flo"),
        Event(id="3", kind="purchase", at=day, user_id="jo", amount_minor=1999, currency="USD"),
        Event(id="4", kind="page_view", at=day + timedelta(days=1), user_id="flo"),
    )
    days = DateRange(start="2026-11-01", end="2026-11-03")
    job = await app.bound(aggregate).enqueue("daily", days, METRICS)
    await app.worker().run(until_idle=True)
    print((await job.result()).rows, "rows")
    for metric in METRICS:
        found = await store.figures(metric, "daily", start=day, end=day + timedelta(days=3))
        print(metric, [one.value for one in found])
    await store.close()
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
