"""The chat's figures: how soon a message is answered, what one add costs, how many jobs start.

    python -m benchmarks.chat [--store sqlite|redis] [--messages 200]

API and worker are processes of their own, as deployed; each push takes 2 s at the push service.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.examples.chat.deployment import PUSH, Deployment, deployed
from tests.examples.chat.test_chat_limits import ended, fullest, sliding, starts_of
from tests.support.postgres import running_postgres
from tests.support.redis_server import RedisServer

from benchmarks.systems import asked_for, time_ms
from toril import App
from toril.core.codec import Json

ROOM = 20
SLOW_S = 2.0


async def messages(chat: Deployment, many: int) -> list[float]:
    """Post messages one after another in a room of 20, and return how long each answer took."""
    users = [await chat.sign_up(f"user {number}") for number in range(ROOM)]
    for user in users[1:]:
        (await chat.browser(user)).delay_s = SLOW_S
    room = await chat.room(users[0], *users[1:])
    times = []
    async with chat.http(users[0]) as http:
        for number in range(many + 5):
            body = {"roomId": room, "content": f"message {number}", "type": "text"}
            began = time.perf_counter()
            answer = await http.post("/api/messages", json=body)
            if number >= 5:  # the first ones open connections
                times.append(time.perf_counter() - began)
            assert answer.status_code == 200
    return times


async def adds(chat: Deployment, many: int) -> list[float]:
    """Add pushes one after another through the service, and return how long each took."""
    os.environ.update(chat.environment)
    os.chdir(chat.folder)
    services: Any = importlib.import_module("examples.chat.services")
    services.lines.log.handlers.clear()
    add = services.get_service("queueService").add_push_notification
    times = []
    for _ in range(many + 5):
        began = time.perf_counter()
        await add("nobody", {"title": "t", "body": "b"})
        times.append(time.perf_counter() - began)
    await services.queues.app.close()
    await services.services.close()
    for name in [*chat.environment, *(one for one in sys.modules if one.startswith("examples."))]:
        os.environ.pop(name, None)
        sys.modules.pop(name, None)
    return times[5:]


async def starts(chat: Deployment) -> list[float]:
    """Have three workers run 300 pushes, and return when each began."""
    payload: Json = {"userId": "nobody", "payload": {"title": "t", "body": "b"}}
    async with App(chat.store_url) as app:
        jobs = await app.queue(PUSH).add_many([("push-notification", payload)] * 300)
        return starts_of(await ended(app, PUSH, [job.id for job in jobs]))


async def measure(chat: Deployment, many: int) -> None:
    """Print the figures of one store."""
    for name in ("second", "third"):
        await asyncio.to_thread(chat.start_worker, name)
    began = await starts(chat)
    print(
        f"300 pushes, three workers: at most {fullest(began)} starts in a window and"
        f" {sliding(began)} in any second, {began[-1] - began[0]:.2f} s in all"
    )
    for name in ("second", "third"):
        await asyncio.to_thread(chat.stop, name)
    added = await adds(chat, many)
    print(f"one add: median {time_ms(added, 0.5):.2f} ms, p95 {time_ms(added, 0.95):.2f} ms")
    posted = await messages(chat, many)  # last: what they leave takes minutes
    print(
        f"POST /api/messages, room of {ROOM}, each push takes {SLOW_S:g} s:"
        f" median {time_ms(posted, 0.5):.1f} ms, p95 {time_ms(posted, 0.95):.1f} ms,"
        f" {many} messages"
    )


def main() -> None:
    """Measure on one store, or on both."""
    given = asked_for(__doc__, messages=200)
    for store in given.stores:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            urls = {}
            if store == "redis":
                urls["redis_url"] = stack.enter_context(RedisServer.start(folder)).url
                urls["postgres_url"] = stack.enter_context(running_postgres())
            chat = stack.enter_context(deployed(folder, store, **urls))
            chat.start_api()
            chat.start_worker()
            print(f"{store}:")
            asyncio.run(measure(chat, given.messages))
            os.chdir("/")


if __name__ == "__main__":
    main()
