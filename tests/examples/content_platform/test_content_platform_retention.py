"""How many ended jobs the platform keeps, whoever added them; the totals go on."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.examples.content_platform.deployment import NOTIFY, Deployment
from tests.support.waiting import wait_until

from toril import App, QueueInfo

pytestmark = pytest.mark.timeout(600)


async def test_newest_100_and_50_are_kept(platform: Deployment, app: App) -> None:
    """CP-2, R-15."""
    queue = app.queue(NOTIFY)
    user = f"u-{secrets.token_hex(4)}"

    async def counts() -> QueueInfo:
        info = await queue.info()
        assert info is not None
        return info

    async def add(many: int, channel: str) -> list[str]:
        data: Any = {"channel": channel, "options": {"to": user, "text": "T"}}
        return [job.id for job in await queue.add_many([("__default__", data)] * many)]

    good = await add(130, "database")
    bad = await add(70, "fax")
    newest = good[-1], bad[-1]

    async def ended() -> bool:
        info = await counts()
        return info.waiting + info.active + info.prioritized == 0

    await wait_until(ended, what="all jobs to end")
    info = await counts()
    assert (info.completed, info.failed) == (100, 50)
    assert info.completed_total >= 130
    assert info.failed_total >= 70
    states = [(await queue.job(one).info()).state for one in newest]
    assert states == ["completed", "failed"]
