"""Node and the packages of `tests/interop`, and BullMQ on it at a Python test's command."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.packages import install
from tests.support.waiting import wait_until

INTEROP = Path(__file__).parents[1] / "interop"
OLDEST_NODE = 20
START_S = 30.0
"""How long Node may take to start on a busy machine."""
_READY = ".toril-ready"
_LONGEST_LINE_BYTES = 64 * 1024 * 1024


def node_binary() -> str:
    """Return the path of Node; install it if the machine has none, or an old one."""
    trouble = ""
    found = _find_node()
    if found is None:
        trouble = install("nodejs") or install("npm")
        found = _find_node()
    assert found is not None, f"Node {OLDEST_NODE} or newer is not on this machine: {trouble}"
    return found


def _find_node() -> str | None:
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path if int(said.strip().lstrip("v").partition(".")[0]) >= OLDEST_NODE else None


def node_modules() -> Path:
    """Return the folder of the installed packages; install them if they are not as locked.

    Test runs that start at the same time install once: the others wait.
    """
    node_binary()
    folder = INTEROP / "node_modules"
    wanted = hashlib.sha256((INTEROP / "package-lock.json").read_bytes()).hexdigest()
    ready = folder / _READY
    whose = hashlib.sha256(str(INTEROP).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"toril-npm-{os.getuid()}-{whose}.lock"
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text() == wanted:
            return folder
        # No install scripts: all that we use of these packages is plain JavaScript.
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=INTEROP,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"`npm ci` in {INTEROP.name}: {done.stderr[-2000:]}"
        ready.write_text(wanted)
    return folder


class NodeError(Exception):
    """BullMQ refused what it was asked for, or Node has ended."""

    def __init__(self, name: str, message: str, code: int | str | None = None) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.code = code
        """BullMQ's own number, where it has one (spec, section 5.6)."""


class Told:
    """What an object in Node tells: events in order, from when it was made."""

    def __init__(self, node: Node, handle: str) -> None:
        self._node = node
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
        return await self._node.ask("handle", handle=self.handle, method=method, args=arguments)

    async def close(self, *, force: bool = False) -> None:
        """Close it; a worker ends what it has begun first, unless forced."""
        await self.call("close", *([True] if force else []))


class Node:
    """A Node process with BullMQ in it.

    Options have BullMQ's names: `jobId=`, `lockDuration=`. Every coroutine raises `NodeError` if
    BullMQ refuses.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take over a process; `start` is how to get one."""
        self._process = process
        self._log = log
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._told: dict[str | None, Told] = {None: Told(self, "the process")}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, url: str) -> Node:
        """Start Node on a store, `redis://…` or `redis+cluster://…`; return once it is ready."""
        node_modules()
        log = Path(tempfile.mkdtemp(prefix="toril-node-")) / "stderr"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                node_binary(),
                str(INTEROP / "driver.mjs"),
                json.dumps(_connection(url)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=INTEROP,
                limit=_LONGEST_LINE_BYTES,
            )
        node = cls(process, log)
        try:
            await node._told[None].wait_for("ready", deadline_s=START_S)
        except BaseException:
            await node.close()
            raise
        return node

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

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def ask(self, op: str, **fields: Any) -> Any:
        """Have the driver do something (`verbs` in `driver.mjs`) and return its answer."""
        if self._reading.done():
            raise NodeError("NodeError", f"Node has ended: {self._errors()}")
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

    async def version(self) -> str:
        """Return the version of BullMQ."""
        return str(await self.ask("version"))

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

    async def add_flow(self, tree: dict[str, Any]) -> Any:
        """Add a flow and return it: `job` and `children`, each of these again."""
        return await self.ask("flow", tree=tree)

    async def flow(self, queue: str, job_id: str) -> Any:
        """Return the flow below a job."""
        return await self.ask("tree", queue=queue, job=job_id)

    async def upsert_scheduler(
        self, queue: str, scheduler_id: str, repeat: dict[str, Any], template: dict[str, Any]
    ) -> Any:
        """Add or change a job scheduler and return its next job."""
        return await self.call(queue, "upsertJobScheduler", scheduler_id, repeat, template)

    async def result(
        self, queue: str, job_id: str, events: Told, *, timeout_s: float = 15.0
    ) -> Any:
        """Wait for a job as Node's producers do, and return its value."""
        timeout_ms = round(timeout_s * 1000)
        return await self.ask(
            "result", queue=queue, job=job_id, events=events.handle, timeoutMs=timeout_ms
        )

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

    async def jobs(
        self, queue: str, *states: str, start: int = 0, end: int = -1, ascending: bool = False
    ) -> list[Any]:
        """Return the jobs of some states."""
        found: list[Any] = await self.call(queue, "getJobs", states, start, end, ascending)
        return found

    async def logs(self, queue: str, job_id: str) -> list[str]:
        """Return a job's log."""
        found: list[str] = (await self.call(queue, "getJobLogs", job_id))["logs"]
        return found

    async def workers(self, queue: str) -> list[dict[str, str]]:
        """Return the workers that BullMQ lists."""
        found: list[dict[str, str]] = await self.call(queue, "getWorkers")
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

    async def change_delay(self, queue: str, job_id: str, delay_ms: int) -> None:
        """Make a delayed job due so long from now."""
        await self.call_job(queue, job_id, "changeDelay", delay_ms)

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

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Remove a queue with all its jobs."""
        await self.call(queue, "obliterate", {"force": force})

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
                `progress` (values), `sleepMs`, `waits` (until `release`), `snoozeMs` and
                `rateLimitMs` (in the first run), `throws` (a message; with `failures` only so
                many times), `unrecoverable` (a message), then `childrenValues` (return them),
                `echo` (return the data) or `returns` (a value). Default: return nothing.
            options: BullMQ's: `concurrency`, `lockDuration`, `stalledInterval`, `name`, …
        """
        return await self._make("worker", queue, behaviour=behaviour or {}, options=options)

    async def queue_events(self, queue: str, **options: Any) -> Told:
        """Start to read the events of a queue."""
        return await self._make("events", queue, options=options)

    async def release(self) -> int:
        """Let the processors go on that wait; return how many."""
        return int(await self.ask("release"))

    async def take(self, queue: str, token: str, **options: Any) -> Any:
        """Take a job with a worker that does nothing by itself; None if there is none."""
        handle = f"hand of {queue}"
        return await self.ask("take", handle=handle, queue=queue, token=token, options=options)

    async def complete(self, job_id: str, token: str, value: Any = None) -> None:
        """Complete a job that was taken."""
        await self.ask("complete", job=job_id, token=token, value=value)

    async def fail(self, job_id: str, token: str, message: str) -> None:
        """Fail a job that was taken."""
        await self.ask("fail", job=job_id, token=token, message=message)

    async def extend_lock(self, job_id: str, token: str, ms: int) -> int:
        """Renew the lock of a job that was taken; 0 if it is lost."""
        return int(await self.ask("extendLock", job=job_id, token=token, ms=ms))

    async def board(self, queues: Sequence[str]) -> str:
        """Start Bull Board over some queues and return its URL."""
        port = await self.ask("board", handle="board", queues=queues)
        return f"http://127.0.0.1:{port}"

    async def _make(self, op: str, queue: str, **fields: Any) -> Told:
        handle = f"{op} {next(self._numbers)} of {queue}"
        told = self._told[handle] = Told(self, handle)
        await self.ask(op, handle=handle, queue=queue, **fields)
        return told

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if "id" in message:
                self._answer(message)
            elif message["handle"] in self._told:
                told = self._told[message["handle"]]
                told.events.append((message["event"], message["args"]))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NodeError("NodeError", f"Node has ended: {self._errors()}"))
        self._asked.clear()

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self._asked.pop(message["id"])
        if answer.done():  # whoever asked was cancelled
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(NodeError(error["name"], error["message"], error.get("code")))

    def _errors(self) -> str:
        return self._log.read_text("utf-8", "replace")[-2000:] if self._log.is_file() else ""


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
