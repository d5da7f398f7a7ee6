"""BullMQ in a process of its own, in whatever language, at a Python test's command.

A driver reads one JSON object a line and writes one: `tests/interop/driver.mjs` says which. What
its BullMQ can be asked for, and how it is installed, is with each language: `node.py`,
`python_port.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.waiting import wait_until

INTEROP = Path(__file__).parents[1] / "interop"
START_S = 60.0
"""How long a driver may take to start on a busy machine."""
_LONGEST_LINE_BYTES = 64 * 1024 * 1024


class BullMQError(Exception):
    """BullMQ refused what it was asked for, or its process has ended."""

    def __init__(self, name: str, message: str, code: int | str | None = None) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.code = code
        """BullMQ's own number, where it has one (spec, section 5.6)."""


class Told:
    """What a worker or a reader of events there tells, in order, from when it was made."""

    def __init__(self, driven: BullMQ, handle: str) -> None:
        self._driven = driven
        self.handle = handle
        self.events: list[tuple[str, list[Any]]] = []
        """Name and arguments; jobs as objects with their fields."""

    def named(self, *names: str) -> list[Any]:
        """Return the first argument of every event with one of these names."""
        return [args[0] if args else None for name, args in self.events if name in names]

    @property
    def names(self) -> list[str]:
        """Return the names of all events, in order."""
        return [name for name, _ in self.events]

    async def wait_for(self, name: str, *, many: int = 1, deadline_s: float = 15.0) -> list[Any]:
        """Return the first argument of every event of a name, once there are so many."""
        await wait_until(
            lambda: len(self.named(name)) >= many,
            deadline_s=deadline_s,
            what=f"{many} × {name!r} of {self.handle}; it told {self.names}",
        )
        return self.named(name)

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call any method of the object."""
        return await self._driven.ask("handle", handle=self.handle, method=method, args=arguments)

    async def close(self, *, force: bool = False) -> None:
        """Close it; a worker ends what it has begun first, unless forced."""
        await self.call("close", *([True] if force else []))


class BullMQ:
    """One driver, and what every BullMQ can be asked for.

    Options have BullMQ's names: `jobId=`, `lockDuration=`. Every coroutine raises `BullMQError` if
    BullMQ refuses.
    """

    language: ClassVar[str]
    """What it is called in errors."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take over a process; `start` is how to get one."""
        self._process = process
        self._log = log
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._told: dict[str | None, Told] = {None: Told(self, "the process")}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, url: str) -> Self:
        """Start one on a store, `redis://…` or `redis+cluster://…`; return once it is ready."""
        command = cls.command()
        log = Path(tempfile.mkdtemp(prefix="toril-bullmq-")) / "stderr"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                json.dumps(_connection(url)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=INTEROP,
                limit=_LONGEST_LINE_BYTES,
            )
        driven = cls(process, log)
        try:
            await driven._told[None].wait_for("ready", deadline_s=START_S)
        except BaseException:
            await driven.close()
            raise
        return driven

    @classmethod
    def command(cls) -> Sequence[str]:
        """Return the words that start the driver; install what it needs first."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    async def close(self) -> None:
        """End the process, in order. Twice is fine."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), START_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading
        shutil.rmtree(self._log.parent, ignore_errors=True)

    async def kill(self) -> None:
        """Kill the process: its jobs stay active until their locks end."""
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def ask(self, op: str, **fields: Any) -> Any:
        """Have the driver do something and return its answer."""
        if self._reading.done():
            raise self._ended()
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
        return await answer

    async def call(self, queue: str, method: str, *arguments: Any) -> Any:
        """Call any method of a queue: `call("paint", "getJobCounts")`."""
        return await self.ask("queue", queue=queue, method=method, args=arguments)

    async def call_job(self, queue: str, job_id: str, method: str, *arguments: Any) -> Any:
        """Call any method of a job: `call_job("paint", "1", "getState")`."""
        return await self.ask("job", queue=queue, job=job_id, method=method, args=arguments)

    # Producers.

    async def add(self, queue: str, name: str, data: Any = None, **options: Any) -> str:
        """Add a job and return its id."""
        data = {} if data is None else data
        return str((await self.call(queue, "add", name, data, options))["id"])

    async def add_bulk(
        self, queue: str, jobs: Iterable[tuple[str, Any, dict[str, Any]]]
    ) -> list[str]:
        """Add jobs (name, data, options) and return their ids."""
        rows = [{"name": name, "data": data, "opts": options} for name, data, options in jobs]
        return [str(job["id"]) for job in await self.call(queue, "addBulk", rows)]

    # Reading.

    async def job(self, queue: str, job_id: str) -> Any:
        """Return a job's fields; None if there is none."""
        return await self.ask("get", queue=queue, job=job_id)

    async def state(self, queue: str, job_id: str) -> str:
        """Return a job's state in BullMQ's words; `unknown` if there is none."""
        return str(await self.call(queue, "getJobState", job_id))

    async def counts(self, queue: str, *states: str) -> dict[str, int]:
        """Return how many jobs are where. Without states: all of them."""
        found: dict[str, int] = await self.call(queue, "getJobCounts", *states)
        return found

    async def logs(self, queue: str, job_id: str) -> list[str]:
        """Return a job's log."""
        found: list[str] = (await self.call(queue, "getJobLogs", job_id))["logs"]
        return found

    async def is_paused(self, queue: str) -> bool:
        """Return whether a queue is paused."""
        return bool(await self.call(queue, "isPaused"))

    # An operator's verbs.

    async def pause(self, queue: str) -> None:
        """Pause a queue."""
        await self.call(queue, "pause")

    async def resume(self, queue: str) -> None:
        """Resume a queue."""
        await self.call(queue, "resume")

    async def remove(self, queue: str, job_id: str) -> int:
        """Remove a job; 0 if it could not be removed."""
        return int(await self.call(queue, "remove", job_id))

    async def retry(self, queue: str, job_id: str, state: str = "failed") -> None:
        """Put a finished job back in line."""
        await self.call_job(queue, job_id, "retry", state)

    async def promote(self, queue: str, job_id: str) -> None:
        """Make a delayed job ready."""
        await self.call_job(queue, job_id, "promote")

    async def change_priority(self, queue: str, job_id: str, priority: int) -> None:
        """Give a job another priority."""
        await self.call_job(queue, job_id, "changePriority", {"priority": priority})

    async def update_data(self, queue: str, job_id: str, data: Any) -> None:
        """Replace a job's payload."""
        await self.call_job(queue, job_id, "updateData", data)

    async def drain(self, queue: str, *, delayed: bool = False) -> None:
        """Remove the jobs in line."""
        await self.call(queue, "drain", delayed)

    async def clean(
        self, queue: str, state: str, *, grace_ms: int = 0, limit: int = 0
    ) -> list[str]:
        """Remove old jobs of a state and return their ids."""
        gone: list[str] = await self.call(queue, "clean", grace_ms, limit, state)
        return gone

    async def set_global_rate_limit(self, queue: str, limit: int, window_ms: int) -> None:
        """Let so many jobs start in a window."""
        await self.call(queue, "setGlobalRateLimit", limit, window_ms)

    async def set_global_concurrency(self, queue: str, limit: int) -> None:
        """Let so many jobs run at once."""
        await self.call(queue, "setGlobalConcurrency", limit)

    # Workers and readers of events.

    async def worker(
        self, queue: str, behaviour: dict[str, Any] | None = None, **options: Any
    ) -> Told:
        """Start a worker.

        Parameters:
            queue: Its queue.
            behaviour: What it does with a job, all that is given, in this order: `logs` (lines),
                `progress` (values), `sleepMs`, `waits` (until `release`), `snoozeMs` (in the first
                run), `throws` (a message; with `failures` only so many times, with `every` only
                where that divides the `n` of the data), `unrecoverable` (a message), then `echo`
                (return the data) or `returns` (a value). Default: return nothing. On Node also
                `rateLimitMs`, before `throws` in the first run, and `childrenValues` (return them).
            options: BullMQ's: `concurrency`, `lockDuration`, `stalledInterval`, `name`, …
        """
        return await self._make("worker", queue, behaviour=behaviour or {}, options=options)

    async def queue_events(self, queue: str, **options: Any) -> Told:
        """Start to read the events of a queue."""
        return await self._make("events", queue, options=options)

    async def release(self) -> int:
        """Let the processors go on that wait; return how many."""
        return int(await self.ask("release"))

    async def _make(self, op: str, queue: str, **fields: Any) -> Told:
        handle = f"{op} {next(self._numbers)} of {queue}"
        told = self._told[handle] = Told(self, handle)
        await self.ask(op, handle=handle, queue=queue, **fields)
        return told

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.endswith(b"\n"):
                break  # it ended in the middle of what it said
            message = json.loads(line)
            if "id" in message:
                self._answer(message)
            elif message["handle"] in self._told:
                told = self._told[message["handle"]]
                told.events.append((message["event"], message["args"]))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(self._ended())
        self._asked.clear()

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self._asked.pop(message["id"])
        if answer.done():  # whoever asked was cancelled
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(BullMQError(error["name"], error["message"], error.get("code")))

    def _ended(self) -> BullMQError:
        said = self._log.read_text("utf-8", "replace")[-2000:] if self._log.is_file() else ""
        return BullMQError("BullMQError", f"{self.language} has ended: {said}")


def _connection(url: str) -> dict[str, Any]:
    """Return what the driver is told of where the store is."""
    parts = urlsplit(url)
    places = []
    for place in parts.netloc.split(","):
        host, _, port = place.partition(":")
        places.append({"host": host, "port": int(port or 6379)})
    options = parse_qs(parts.query)
    return {
        "places": places,
        "cluster": parts.scheme == "redis+cluster",
        "db": int(unquote(parts.path).strip("/") or 0),
        "prefix": options.get("prefix", ["bull"])[0],
    }
