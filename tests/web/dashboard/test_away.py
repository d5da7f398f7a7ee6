"""Pages while the store is away: they say so at once, in the frame, and come back."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, said, site

from toril import App


async def test_pages_say_that_the_store_is_away_and_come_back(tmp_path: Path) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with RedisServer.start(tmp_path, options=options, software="redis") as redis:
        async with App(redis.url) as app, site(app) as pages:
            await app.queue("mail").add("send", {"to": "jo"})
            await pages.read("/queues/mail")

            redis.kill()
            for path in ("/", "/queues", "/queues/mail", "/queues/mail/metrics", "/jobs"):
                for headers in ({}, {"x-toril-refresh": "1"}):
                    began_s = time.monotonic()
                    answer = await pages.get(path, headers=headers)
                    assert answer.status_code == 503, path
                    assert time.monotonic() - began_s < 2.5
                    found = Reader(answer.text)
                    assert "The store does not answer" in found.text
                    assert "redis://" in said(answer.text)
                    assert found.all("nav", **{"aria-label": "Main"})
                    assert found.all("p", **{"data-away": None})  # type: ignore[arg-type]  # an attribute without a value
                    assert answer.headers["retry-after"]
            acted = await pages.post("/act/pause_queue", {"queue": "mail", "next": "/queues"})
            assert acted.status_code == 503

            redis.restart()

            async def answers() -> bool:
                return (await pages.get("/queues/mail")).status_code == 200

            await wait_until(answers, deadline_s=20.0)
            assert "mail" in (await pages.read("/queues")).text
