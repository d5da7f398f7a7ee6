"""Ready-made tasks: notices to users inside an application, stored once each.

Needs the extra `records`.

Run:
    python examples/notices.py

Prints:
    success: Report - 3 rows are ready
    unread: 1
    unread: 0
"""

import asyncio
import tempfile
from pathlib import Path

from toril import App
from toril.library.notify.tasks import notify
from toril.services.notices.port import Notices
from toril.services.notices.sql import SqlNotices

app = App("sqlite://:memory:")
app.include(notify)


async def main(folder: Path) -> None:
    notices = SqlNotices(f"sqlite:///{folder}/notices.db")
    app.provide(notices, Notices)
    await app.find_task("notify.in_app").enqueue(
        user_id="jo", title="Report", body="3 rows are ready", type="success"
    )
    await app.worker().run(until_idle=True)
    (notice,) = await notices.of_user("jo")
    print(f"{notice.type}: {notice.title} - {notice.body}")
    print("unread:", len(await notices.of_user("jo", unread=True)))
    await notices.mark_read("jo", notice.id)
    print("unread:", len(await notices.of_user("jo", unread=True)))
    await notices.close()
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
