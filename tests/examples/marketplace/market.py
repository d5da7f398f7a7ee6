"""The marketplace as its operators run it: processes of the API and of workers, beside a test."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from tests.support.example_processes import ROOT, START_S, ExampleProcesses, inherited
from tests.support.waiting import wait_until

from toril import App, JobInfo

ADMIN = "administrator-of-the-market-" + "0" * 20
PROGRAM = """
import asyncio, json
from examples.marketplace import services as s
from examples.marketplace.app import app, prepare, services, shop, work

def say(value):
    print("SAID", json.dumps(value))

async def main():
    async with app:
        await prepare()
{0}
        await work.close()

asyncio.run(main())
"""


class Market(ExampleProcesses):
    """Processes of the example over one store."""

    def __init__(self, folder: Path, store: str, environment: Mapping[str, str]) -> None:
        self.store = store
        own = {
            **inherited("TORIL_", "REDIS_", "QUEUE_", "EMAIL_", "NODE_ENV"),
            "TORIL_URL": store,
            "DATA_DIR": str(folder / "data"),
            "TORIL_ADMIN_KEY": ADMIN,
            "TORIL_EGRESS_ALLOW": "127.0.0.1",
            "START_WORKERS": "false",
            "PORT": "0",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        super().__init__(folder, own)
        self.app = App(store)
        """The same store, from the test's process. It knows no tasks."""

    async def api(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the API, and wait until it listens."""
        command = [sys.executable, "-m", "examples.marketplace"]
        process, log = self.run_part("api", command, environment)
        await asyncio.to_thread(self.wait_for, "Listening on", process, log)
        found = re.search(r"Listening on (http://\S+)", log.read_text())
        assert found is not None
        self.url = found[1]
        return process

    async def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it is at work."""
        command = [sys.executable, "-m", "toril", "worker", "examples.marketplace", "-c", "39"]
        process, log = self.run_part("worker", command, environment)
        await asyncio.to_thread(self.wait_for, "concurrency", process, log)
        return process

    async def run(self, program: str, **environment: str) -> Any:
        """Run a program of the example's own calls, and return what it gives to `say`."""
        body = textwrap.indent(textwrap.dedent(program).strip(), "        ")
        return await self.python(PROGRAM.replace("{0}", body), **environment)

    async def python(self, source: str, **environment: str) -> Any:
        """Run a program, and return the JSON of its last line that begins with `SAID`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, cwd=ROOT, env={**self.environment, **environment},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, errors = await asyncio.wait_for(process.communicate(), START_S)
        assert process.returncode == 0, errors.decode()
        lines = [line for line in said.decode().splitlines() if line.startswith("SAID ")]
        return json.loads(lines[-1].removeprefix("SAID ")) if lines else None

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = ADMIN, **query: Any
    ) -> httpx.Response:
        """Make a request to the API."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Without `verify` each client reads all certificates first, for nothing.
        async with httpx.AsyncClient(timeout=60, verify=False) as http:
            return await http.request(
                method, f"{self.url}{path}", headers=headers, json=body, params=query
            )

    async def add(self, queue: str, name: str, data: dict[str, Any], **options: Any) -> str:
        """Add a job as another program does; return its id."""
        from toril import JobOptions

        return (await self.app.queue(queue).add(name, data, JobOptions(**options))).id

    async def in_state(self, queue: str, job_id: str, *states: str) -> JobInfo:
        """Wait until a job is in one of some states, and return it."""
        found: list[JobInfo] = []

        async def is_so() -> bool:
            await asyncio.sleep(0.05)
            found[:] = [await self.app.queue(queue).job(job_id).info()]
            return found[0].state in states

        await wait_until(is_so, deadline_s=120, what=f"job {job_id} of {queue} to be {states}")
        return found[0]

    async def ended(self, queue: str, job_id: str) -> JobInfo:
        """Wait until a job has ended, and return it."""
        return await self.in_state(queue, job_id, "completed", "failed")

    async def done(self, queue: str, name: str, data: dict[str, Any], **options: Any) -> Any:
        """Add a job, wait for it, and return its result."""
        info = await self.ended(queue, await self.add(queue, name, data, **options))
        assert info.state == "completed", info.failed_reason
        return info.result

    def log(self, name: str) -> str:
        """Return what processes have written."""
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"{name}-*.log")))

    async def close(self) -> None:
        self.kill_all()
        await self.app.close()
