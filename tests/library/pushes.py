"""What tests of push work share: a push service, an app on each store, and users with browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint

from toril import App, Job
from toril.library.push import PushService, PushSettings
from toril.library.push.tasks import push
from toril.services.push.sql_subscriptions import SqlSubscriptions
from toril.services.push.subscriptions import SubscriptionStore

QUEUE = "push-notifications"
ONE = "push-notification"
BATCH = "push-notification-batch"
PATIENCE_S = 60.0
PAYLOAD = {"title": "A in Team", "body": "hi"}
STORES = ("sqlite", "redis")


@dataclass
class Stand:
    """Everything at once."""

    app: App
    endpoint: PushEndpoint
    service: PushService
    store: SubscriptionStore

    async def user(self, name: str, browsers: int = 1) -> list[Browser]:
        """Subscribe new browsers of a user."""
        made = [self.endpoint.browser(f"{name}-{number}") for number in range(browsers)]
        for browser in made:
            await self.service.subscribe(name, browser.json)
        return made

    async def add(self, data: dict[str, Any], name: str = ONE, **options: Any) -> Job[Any]:
        """Add a job as another program would, with short waits."""
        from toril import JobOptions

        return await self.app.queue(QUEUE).add(name, data, JobOptions(backoff_s=0.01, **options))

    async def send(self, user_id: str, **options: Any) -> Job[Any]:
        """Add a job for a user."""
        return await self.add({"userId": user_id, "payload": PAYLOAD}, **options)

    async def ended(self, job: Job[Any], *, patience_s: float = PATIENCE_S) -> Any:
        """Run a worker until a job has ended; return what is known of it then."""
        worker = self.app.worker(queues=[QUEUE])
        working = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    info = await job.info()
                    if info.state in ("completed", "failed"):
                        return info
                    assert not working.done(), working.exception()
                    await asyncio.sleep(0.002)
        finally:
            worker.stop()
            await working


@asynccontextmanager
async def stand(url: str, folder: Path, **settings: Any) -> AsyncIterator[Stand]:
    """Make it, and take it down."""
    async with push_endpoint() as endpoint:
        store = SqlSubscriptions(f"sqlite:///{folder}/push.db")
        service = PushService(
            PushSettings(vapid=endpoint.keys, egress_allow=("127.0.0.1",), **settings),
            subscriptions=store,
        )
        app = App(url)
        app.include(push)
        app.provide(service)
        try:
            yield Stand(app, endpoint, service, store)
        finally:
            await app.close()
            await service.close()
