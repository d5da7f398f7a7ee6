"""Node and the packages of `tests/interop`, and BullMQ on it at a Python test's command."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.support.bullmq import INTEROP, BullMQ, Told
from tests.support.packages import install

OLDEST_NODE = 20
_READY = ".toril-ready"


class Node(BullMQ):
    """A Node process with BullMQ in it, and what only BullMQ on Node can do."""

    language: ClassVar[str] = "Node"

    @classmethod
    def command(cls) -> Sequence[str]:
        node_modules()
        return [node_binary(), str(INTEROP / "driver.mjs")]

    async def version(self) -> str:
        """Return the version of BullMQ."""
        return str(await self.ask("version"))

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

    async def jobs(
        self, queue: str, *states: str, start: int = 0, end: int = -1, ascending: bool = False
    ) -> list[Any]:
        """Return the jobs of some states."""
        found: list[Any] = await self.call(queue, "getJobs", states, start, end, ascending)
        return found

    async def workers(self, queue: str) -> list[dict[str, str]]:
        """Return the workers that BullMQ lists."""
        found: list[dict[str, str]] = await self.call(queue, "getWorkers")
        return found

    async def change_delay(self, queue: str, job_id: str, delay_ms: int) -> None:
        """Make a delayed job due so long from now."""
        await self.call_job(queue, job_id, "changeDelay", delay_ms)

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Remove a queue with all its jobs."""
        await self.call(queue, "obliterate", {"force": force})

    async def trace(self) -> None:
        """Have queues, flows and workers trace that are made from now on."""
        await self.ask("trace")

    async def spans(self) -> list[dict[str, str]]:
        """Return the spans that have ended: `name`, `traceId`, `spanId`, `parentId`."""
        found: list[dict[str, str]] = await self.ask("spans")
        return found

    async def take(self, queue: str, token: str, **options: Any) -> Any:
        """Take a job with a worker that does nothing by itself; None if there is none.

        A worker that was refused for a limit does not ask again before it ends: each token is a
        worker of its own.
        """
        handle = f"hand {token} of {queue}"
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
