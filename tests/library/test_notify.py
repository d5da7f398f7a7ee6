"""The notices task, by workers, on both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toril import App, InvalidPayloadError, JobFailedError
from toril.library.notify.tasks import notify
from toril.services.notices.port import Notice, Notices
from toril.services.notices.sql import SqlNotices


class Shaky(SqlNotices):
    """A database that stores, but whose answer is lost the first time."""

    lost = False

    async def add(self, notice: Notice) -> bool:
        new = await super().add(notice)
        if not self.lost:
            self.lost = True
            raise OSError("the connection was lost")
        return new


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    made = App(url)
    made.include(notify)
    yield made
    await made.close()


async def test_notice_is_stored_and_told_by_its_id(app: App, tmp_path: Path) -> None:
    notices = SqlNotices(f"sqlite:///{tmp_path}/n.db")
    app.provide(notices, Notices)
    job = await app.queue("notifications").add(
        "notify.in_app",
        {"userId": "jo", "title": "T", "body": "B", "type": "success", "metadata": {"n": 1}},
    )

    await app.worker().run(until_idle=True)

    (found,) = await notices.of_user("jo")
    assert (await job.info()).result == {"notificationId": found.id}
    assert (found.title, found.body, found.type, found.metadata) == ("T", "B", "success", {"n": 1})
    await notices.close()


async def test_second_run_stores_no_second_notice(app: App, tmp_path: Path) -> None:
    notices = Shaky(f"sqlite:///{tmp_path}/n.db")
    app.provide(notices, Notices)
    quick = app.find_task("notify.in_app").with_options(backoff_s=0.0)
    job = await quick.enqueue("jo", "T", "B", tenant_id="acme")

    await app.worker().run(until_idle=True)

    info = await job.info()
    (found,) = await notices.of_user("jo", tenant_id="acme")
    assert (info.state, info.attempts_made) == ("completed", 2)
    assert info.result == {"notificationId": found.id}
    await notices.close()


@pytest.mark.parametrize(
    ("field", "value"), [("user_id", ""), ("title", ""), ("type", "loud"), ("body", "x" * 20_001)]
)
async def test_bad_notices_are_refused_at_the_door(app: App, field: str, value: str) -> None:
    good = {"user_id": "jo", "title": "T", "body": "B"}

    with pytest.raises(InvalidPayloadError) as refused:
        await app.find_task("notify.in_app").enqueue(**{**good, field: value})
    assert refused.value.field == {"user_id": "userId"}.get(field, field)


async def test_bad_notice_of_another_program_fails_once(app: App, tmp_path: Path) -> None:
    app.provide(SqlNotices(f"sqlite:///{tmp_path}/n.db"), Notices)
    queue = app.queue("notifications")
    outside = App(app.url)
    job = await outside.queue("notifications").add("notify.in_app", {"title": "T", "body": "B"})

    await app.worker().run(until_idle=True)

    info = await queue.job(job.id).info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    with pytest.raises(JobFailedError, match="userId"):
        await queue.job(job.id).result()
    await outside.close()
