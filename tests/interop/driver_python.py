"""The official BullMQ for Python at the command of a test, as `driver.mjs` is BullMQ for Node.

It runs in an environment where that package is and ours is not. The lines that it reads and writes
are those of the other driver, and so are the words for what a processor does, as far as the port
knows them. Ends when its input ends, so that it never outlives the test that started it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

bullmq: Any = import_module("bullmq")  # not there where types are checked

VIEW = (
    "id", "name", "data", "opts", "progress", "attemptsMade", "attemptsStarted", "stalledCounter",
    "failedReason", "stacktrace", "returnvalue", "timestamp", "processedOn", "finishedOn", "delay",
    "priority",
)  # fmt: skip
OF_WORKERS = ("active", "completed", "failed", "stalled", "error", "closed")
OF_QUEUES = (
    "added", "waiting", "active", "progress", "completed", "failed", "delayed", "stalled",
    "removed", "paused", "resumed", "retries-exhausted", "cleaned", "error",
)  # fmt: skip


class Driver:
    """What there is by the names that the test gave, and the verbs."""

    def __init__(self, told: dict[str, Any]) -> None:
        place = told["places"][0]
        self._options = {
            "connection": {"host": place["host"], "port": place["port"], "db": told["db"]},
            "prefix": told["prefix"],
        }
        self._queues: dict[str, Any] = {}
        self._handles: dict[str, Any] = {}
        self._waiting: list[asyncio.Future[None]] = []

    async def answer(self, line: bytes) -> None:
        """Do what a line asks for, and say what came of it."""
        asked = json.loads(line)
        number, verb = asked.pop("id"), asked.pop("op")
        try:
            result = await getattr(self, f"do_{verb}")(**asked)
            say({"id": number, "result": plain(result)})
        except Exception as error:
            say({"id": number, "error": plain(error)})

    async def close(self) -> None:
        """Let go of everything."""
        for one in self._handles.values():
            await (one.close(force=True) if isinstance(one, bullmq.Worker) else one.close())
        for queue in self._queues.values():
            await queue.close()

    async def do_queue(self, queue: str, method: str, args: list[Any]) -> Any:
        return await settled(getattr(self._queue(queue), method)(*args))

    async def do_job(self, queue: str, job: str, method: str, args: list[Any]) -> Any:
        found = await self.do_get(queue, job)
        if found is None:
            raise LookupError(f"queue {queue} has no job {job}")
        return await settled(getattr(found, method)(*args))

    async def do_handle(self, handle: str, method: str, args: list[Any]) -> Any:
        return await settled(getattr(self._handles[handle], method)(*args))

    async def do_get(self, queue: str, job: str) -> Any:
        return await bullmq.Job.fromId(self._queue(queue), job)

    async def do_worker(
        self, handle: str, queue: str, behaviour: dict[str, Any], options: dict[str, Any]
    ) -> None:
        worker = bullmq.Worker(queue, self._processor(behaviour), {**self._options, **options})
        tell_all(handle, worker, OF_WORKERS)
        self._handles[handle] = worker

    async def do_events(self, handle: str, queue: str, options: dict[str, Any]) -> None:
        # From what is there now: "from now on" would begin with its first read, whenever that is.
        newest = await self._queue(queue).client.xrevrange(
            self._queue(queue).keys["events"], count=1
        )
        begin = {"lastEventId": newest[0][0] if newest else "0"}
        events = bullmq.QueueEvents(queue, {**self._options, **begin, **options})
        tell_all(handle, events, OF_QUEUES)
        self._handles[handle] = events

    async def do_release(self) -> int:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.set_result(None)
        return len(waiting)

    def _queue(self, name: str) -> Any:
        if name not in self._queues:
            self._queues[name] = bullmq.Queue(name, self._options)
        return self._queues[name]

    def _processor(self, behaviour: dict[str, Any]) -> Callable[[Any, str], Awaitable[Any]]:
        async def process(job: Any, token: str) -> Any:
            for line in behaviour.get("logs", ()):
                await job.log(line)
            for value in behaviour.get("progress", ()):
                await job.updateProgress(value)
            if "sleepMs" in behaviour:
                await asyncio.sleep(behaviour["sleepMs"] / 1000)
            if behaviour.get("waits"):
                go_on = asyncio.get_running_loop().create_future()
                self._waiting.append(go_on)
                await go_on
            if "snoozeMs" in behaviour and job.attemptsStarted == 1:
                await job.moveToDelayed(round(time.time() * 1000) + behaviour["snoozeMs"], token)
                raise bullmq.DelayedError
            concerned = "every" not in behaviour or job.data["n"] % behaviour["every"] == 0
            first = job.attemptsMade < behaviour.get("failures", 2**53)
            if "throws" in behaviour and concerned and first:
                raise RuntimeError(behaviour["throws"])
            if "unrecoverable" in behaviour:
                raise bullmq.UnrecoverableError(behaviour["unrecoverable"])
            return job.data if behaviour.get("echo") else behaviour.get("returns")

        return process


async def settled(value: Any) -> Any:
    """Return what comes of a call, whether it was asynchronous or not."""
    return await value if inspect.isawaitable(value) else value


def plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, bullmq.Job):
        return {name: getattr(value, name, None) for name in VIEW}
    if isinstance(value, BaseException):
        code = getattr(value, "code", None)
        return {"name": type(value).__name__, "message": str(value), "code": code}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def tell_all(handle: str, emitter: Any, names: tuple[str, ...]) -> None:
    """Say whatever a worker or a reader of events tells."""

    def teller(name: str) -> Callable[..., None]:
        return lambda *args: say({"handle": handle, "event": name, "args": plain(args)})

    for name in names:
        emitter.on(name, teller(name))


def say(what: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(what, default=str) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Answer line after line until there are no more."""
    driver = Driver(json.loads(sys.argv[1]))
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    say({"handle": None, "event": "ready", "args": []})
    answers: set[asyncio.Task[None]] = set()
    while line := await lines.readline():
        answer = asyncio.create_task(driver.answer(line))
        answers.add(answer)
        answer.add_done_callback(answers.discard)
    await asyncio.wait_for(driver.close(), 5)


if __name__ == "__main__":
    asyncio.run(main())
