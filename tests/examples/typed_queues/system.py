"""The typed queues as they are deployed: the API and workers, processes of their own."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from tests.support.example_processes import ExampleProcesses, inherited
from tests.support.ffmpeg import clip
from tests.support.waiting import wait_until

from toril import App, JobInfo

ROOT = Path(__file__).parents[3]
ADMIN = "administrator-of-tasks-" + "0" * 20
SERVED = {"light": 5, "medium": 1, "heavy": 3, "all": 9}
"""Queues of each type of worker, which names them one by one as it starts."""


class System(ExampleProcesses):
    """Processes of the example over one store."""

    def __init__(self, folder: Path, store: str, environment: Mapping[str, str]) -> None:
        self.data = folder / "data"
        self.store = store
        own = {
            **inherited("TORIL_", "REDIS_", "QUEUE_", "EMAIL_", "SMTP_", "WORKER_"),
            "TORIL_URL": store,
            "TORIL_ADMIN_KEY": ADMIN,
            "DATA_DIR": str(self.data),
            "PORT": "0",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        super().__init__(folder, own)

    async def api(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the API, and wait until it listens."""
        process, log = self.run("api", environment)
        await asyncio.to_thread(self.wait_for, "Listening on http", process, log)
        found = re.search(r"Listening on (http://\S+)", log.read_text())
        assert found is not None
        self.url = found[1]
        return process

    async def worker(self, kind: str, **environment: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a worker of a type, and wait until it is at work; return it and its log."""
        process, log = self.run("worker", {"WORKER_TYPE": kind, **environment})
        await asyncio.to_thread(self.wait_for, " serves ", process, log, times=SERVED.get(kind, 1))
        return process, log

    def run(
        self, part: str, environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a part of the example; return it and its log."""
        return self.run_part(
            part, [sys.executable, "-m", "examples.typed_queues", part], environment
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Make a request."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        more: dict[str, Any] = {"json": body} if body is not None else {"content": content}
        # Without `verify` each client reads all certificates first, for nothing.
        async with httpx.AsyncClient(timeout=60, verify=False) as http:
            return await http.request(method, f"{self.url}{path}", headers=headers, **more)

    async def build(self, course: str, videos: list[str], documents: list[str]) -> None:
        """Have a course built."""
        body = {"videos": videos, "documents": documents}
        answer = await self.ask("POST", f"/courses/{course}/build", body)
        assert (answer.status_code, answer.json()["queued"]) == (201, True), answer.text

    async def course(self, course: str) -> dict[str, Any]:
        answer = await self.ask("GET", f"/courses/{course}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def course_in(self, course: str, state: str, *, deadline_s: float = 180) -> Any:
        """Wait until a course is in a state, and return it."""

        async def is_so() -> bool:
            await asyncio.sleep(0.05)  # each look is a request
            return bool((await self.course(course))["state"] == state)

        await wait_until(is_so, deadline_s=deadline_s, what=f"course {course} to be {state}")
        return await self.course(course)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as the kernel does."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def put(self, key: str, source: Path | bytes) -> None:
        """Put a file into the storage, as a person copies it there."""
        path = self.data / "objects" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            shutil.copyfile(source, path)

    def made(self, key: str) -> Path:
        """Return where an object lies."""
        return self.data / "objects" / key

    async def video(self, video: str, *, seconds: float = 1, size: str = "320x180") -> None:
        """Put a clip into the storage, made with little care: it is the worker that encodes."""
        target = self.folder / f"{video}.mp4"
        fast = ("-preset", "ultrafast")
        await asyncio.to_thread(clip, target, seconds=seconds, size=size, options=fast)
        self.put(f"uploads/{video}", target)

    def close(self) -> None:
        self.kill_all()


async def ended(app: App, queue: str, job_id: str, *, deadline_s: float = 180) -> JobInfo:
    """Wait until a job that is kept has ended, and return it."""
    job = app.queue(queue).job(job_id)
    found: list[JobInfo] = []

    async def is_over() -> bool:
        info = await job.info()
        found[:] = [info]
        return info.state in ("completed", "failed")

    await wait_until(is_over, deadline_s=deadline_s, what=f"job {job_id} of {queue} to end")
    return found[0]
