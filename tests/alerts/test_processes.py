"""Three processes watch one store: a real SMTP server and a real webhook hear each alert once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.http_server import serving
from tests.support.smtp_server import receiving
from tests.support.waiting import wait_until

from toril import App
from toril.alerts.channels.signing import check_webhook

SECRET = "a secret of more than twenty-four bytes"
PATIENCE_S = 40.0
PROGRAM = """
import asyncio, sys, time
from toril import App, RetryPolicy
from toril.alerts.channels.mail import MailChannel
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.options import AlertOptions, AlertThresholds

url, smtp, hook, secret, works = sys.argv[1:]
app = App(url, alerts=AlertOptions(
    channels=[MailChannel("ops@example.com", mailer=smtp, sender="toril@example.com"),
              WebhookChannel(hook, secret=secret, allow=["127.0.0.1"])],
    thresholds=AlertThresholds(size=3, no_worker_s=None, oldest_s=None, growth_samples=None,
                               worker_lost_s=None, blocked_s=1),
    cooldown_s=3600, recovery_s=1, every_s=0.2, source="shop"))


@app.task(queue="bad", retry=RetryPolicy(max_attempts=1), dead_letter="dead-letter")
async def bad() -> None:
    raise ValueError("no paper")


@app.task(queue="slow")
async def slow() -> None:
    await asyncio.sleep(0.3)
    time.sleep(4)


async def main() -> None:
    if works == "works":
        await app.worker().run()
    else:
        print("watching", flush=True)
        await app.alerts.run()

asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are killed after the test."""
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


async def test_alerts_are_told_once_by_mail_and_webhook(
    url: str, program: Path, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Also when one of the three is killed in between; two of them work, and one only watches."""
    with receiving() as inbox:
        async with serving() as hook, App(url) as app:

            def told() -> list[str]:
                found = [json.loads(one.body) for one in hook.requests]
                # Of a blocked loop the worker does not always know which task it was.
                queues = ["?" if one["rule"] == "blocked_loop" else one["queue"] for one in found]
                return sorted(
                    f"{one['rule']} {queue} {one['state']}"
                    for one, queue in zip(found, queues, strict=True)
                )

            def mailed() -> list[str]:
                found = [(one["X-Toril-Rule"], one["X-Toril-State"]) for one in inbox.mails]
                return sorted(" ".join(one) for one in found)

            async def heard(all_of: Callable[[], bool]) -> None:
                try:
                    await wait_until(all_of, deadline_s=PATIENCE_S)
                except AssertionError:
                    logs = "".join(path.read_text() for path in sorted(tmp_path.glob("*.log")))
                    pytest.fail(f"heard {told()} and {mailed()}; the processes say:\n{logs}")

            for works in ("works", "works", "watches"):
                words = [url, inbox.url, hook.url("/in"), SECRET, works]
                with (tmp_path / f"{len(started)}.log").open("wb") as log:
                    started.append(
                    subprocess.Popen(
                        [sys.executable, str(program), *words], stdout=log, stderr=log,
                        env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    )
                )  # fmt: skip
            queue = app.queue("long")
            await queue.add_many([("x", {})] * 4)
            await app.queue("bad").add("bad", {})
            await app.queue("slow").add("slow", {})
            expected = [
                "blocked_loop ? raised", "dead_letter bad raised", "queue_size long raised"
            ]  # fmt: skip
            await heard(lambda: told() == expected)
            # Killed between sending and noting that, it would have left its message to another.
            await wait_until(lambda: _all_sent(app), deadline_s=PATIENCE_S, what="all to be noted")
            started[0].send_signal(signal.SIGKILL)
            await queue.drain()
            expected.append("queue_size long recovered")
            await heard(lambda: told() == expected)
            wanted = sorted(f"{one.split()[0]} {one.split()[2]}" for one in expected)
            await heard(lambda: mailed() == wanted)
            # Within its cool-down it is not told again.
            await queue.add_many([("x", {})] * 4)
            await wait_until(lambda: _raised(app), deadline_s=PATIENCE_S, what="it to be raised")

            assert told() == expected
            assert mailed() == wanted
            for request in hook.requests:
                assert check_webhook(SECRET, request.headers, request.body)
            assert len({one.headers["webhook-id"] for one in hook.requests}) == len(expected)
            assert len({one["message-id"] for one in inbox.mails}) == len(expected)
    for process in started[1:]:
        process.terminate()


async def _all_sent(app: App) -> bool:
    return not await app.alerts.unsent()


async def _raised(app: App) -> bool:
    found = {one.rule: one for one in await app.alerts.list()}
    return found["queue_size"].state == "raised" and not found["queue_size"].told
