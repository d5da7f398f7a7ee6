"""The SaaS API as its operators run it: processes of the API and of workers, beside a test."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from tests.support.example_processes import ExampleProcesses, inherited
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
ACME = "submitter-of-acme-0001"
GLOBEX = "submitter-of-globex-01"
OPERATOR = "operator-of-all-000001"
ADMIN = "administrator-of-all-" + "0" * 20
KEYS = f"{ACME}=submitter:acme:jo,{GLOBEX}=submitter:globex:flo,{OPERATOR}=operator"


class System(ExampleProcesses):
    """Processes of the example over one store."""

    def __init__(self, folder: Path, store: str, environment: Mapping[str, str]) -> None:
        self.store = store
        own = {
            **inherited("TORIL_", "REDIS_", "QUEUE_", "EMAIL_"),
            "TORIL_URL": store,
            "DATA_DIR": str(folder / "data"),
            "API_KEYS": KEYS,
            "SUBMIT_RATE": "100000/min",
            "TORIL_EGRESS_ALLOW": "127.0.0.1",
            "PORT": "0",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        super().__init__(folder, own)

    @property
    def files(self) -> Path:
        return self.folder / "data/files"

    async def api(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the API."""
        return await asyncio.to_thread(self.start_api, **environment)

    async def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it is at work."""
        return await asyncio.to_thread(self.start_worker, **environment)

    def start_api(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the API, for fixtures without an event loop."""
        command = [sys.executable, "-m", "examples.saas_api", "api"]
        process, log = self.run_part("api", command, environment)
        self.wait_for("curl http", process, log)
        found = re.search(r"API (http://\S+)/api/queue", log.read_text())
        assert found is not None
        self.url = found[1]
        return process

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker, for fixtures without an event loop."""
        command = [sys.executable, "-m", "toril", "worker", "examples.saas_api"]
        process, log = self.run_part("worker", command, environment)
        self.wait_for("concurrency", process, log)
        return process

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ACME,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Make a request."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        more: dict[str, Any] = {"json": body} if body is not None else {"content": content}
        async with httpx.AsyncClient(timeout=60, verify=False) as http:
            return await http.request(method, f"{self.url}{path}", headers=headers, **more)

    async def submit(self, kind: str, data: dict[str, Any], key: str = ACME, **options: Any) -> str:
        """Add a job and return its id."""
        body = {"type": kind, "data": data, "options": options}
        answer = await self.ask("POST", "/api/queue/jobs", body, key=key)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    async def job(self, job_id: str, *, key: str = ACME) -> dict[str, Any]:
        answer = await self.ask("GET", f"/api/queue/jobs/{job_id}", key=key)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ended(self, job_id: str, *, timeout_s: float = 180.0) -> dict[str, Any]:
        """Wait until a job has ended, and return it."""
        found: dict[str, Any] = {}

        async def is_over() -> bool:
            nonlocal found
            await asyncio.sleep(0.05)  # each look is a request
            found = await self.job(job_id, key=OPERATOR)
            return found["state"] in ("completed", "failed")

        await wait_until(is_over, deadline_s=timeout_s, what=f"job {job_id} to end")
        return found

    async def in_state(self, job_id: str, state: str) -> None:
        async def is_so() -> bool:
            return bool((await self.job(job_id, key=OPERATOR))["state"] == state)

        await wait_until(is_so, deadline_s=60, what=f"job {job_id} to be {state}")

    async def done(self, kind: str, data: dict[str, Any], **options: Any) -> Any:
        """Add a job, wait for it, and return its result."""
        job = await self.ended(await self.submit(kind, data, **options))
        assert job["state"] == "completed", job["failedReason"]
        return job["result"]

    async def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", "/api/queue/stats")).json()
        return found

    async def operate(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.ask("POST", f"/api/queue{path}", body or {}, key=OPERATOR)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def close(self) -> None:
        self.kill_all()
