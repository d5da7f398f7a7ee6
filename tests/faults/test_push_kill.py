"""kill -9 of workers that send pushes: none is missed, none told twice but who was asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.support import FULL, START_S, Program, Say
from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint
from tests.support.waiting import wait_until

from toril import App
from toril.library.push import PushService, PushSettings

QUEUE = "push-notifications"
PAYLOAD = {"title": "T", "body": "B"}
AT_ONCE = 10
KILLS = 3 if FULL else 1
PATIENCE_S = 60.0


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_killed_batch_tells_nobody_twice_but_who_was_in_flight(
    tmp_path: Path, redis_url: str, kind: str, say: Say
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path}/toril.db"
    async with push_endpoint() as endpoint, App(url) as app:
        environment = {
            "TORIL_URL": url,
            "TORIL_EGRESS_ALLOW": "127.0.0.1",
            "TORIL_MAX_STALLED": "100",
            "VAPID_PUBLIC_KEY": endpoint.keys.public_key,
            "VAPID_PRIVATE_KEY": endpoint.keys.private_key,
            "VAPID_SUBJECT": endpoint.keys.subject,
            "PUSH_DATABASE_URL": f"sqlite:///{tmp_path}/push.db",
            "PUSH_CONCURRENCY": str(AT_ONCE),
        }
        browsers = await subscribed(endpoint, environment, 400)
        users = [f"u{number}" for number in range(400)]
        job = await app.queue(QUEUE).add(
            "push-notification-batch", {"users": users, "payload": PAYLOAD}
        )

        def asked() -> int:
            return len(endpoint.server.requests)

        for kill in range(1, KILLS + 1):
            program = Program(
                "toril", ["worker", "tests.faults.programs.push_app:app"], tmp_path, environment
            )
            target = 90 * kill
            await wait_until(
                lambda target=target: asked() >= target,  # type: ignore[misc]
                deadline_s=START_S + PATIENCE_S,
                what=f"{target} requests; {program.errors}",
            )
            program.kill()
        program = Program(
            "toril", ["worker", "tests.faults.programs.push_app:app"], tmp_path, environment
        )

        async def ended() -> bool:
            return (await job.info()).state in ("completed", "failed")

        await wait_until(ended, deadline_s=START_S + PATIENCE_S, what="the end of the job")
        info = await job.info()
        program.kill()

    counts = [len(browser.messages) for browser in browsers]
    twice = sum(count - 1 for count in counts)
    assert info.state == "completed"
    assert min(counts) == 1
    assert twice <= KILLS * AT_ONCE
    assert info.result["sent"] == 400
    say(f"400 users, {KILLS} killed: {twice} told twice, none missed")


async def subscribed(
    endpoint: PushEndpoint, environment: dict[str, str], many: int
) -> list[Browser]:
    """Return the browsers of new users `u0`, `u1`, …, one each."""
    service = PushService(PushSettings.from_environment(environment))
    browsers = [endpoint.browser() for _ in range(many)]
    for number, browser in enumerate(browsers):
        await service.subscriptions.add(f"u{number}", browser.subscription)
    await service.close()
    return browsers
