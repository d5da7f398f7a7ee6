"""An example as it is deployed: its API and workers by name, with the settings of its servers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx2
from tests.support.example_processes import START_S, inherited
from tests.support.lifelines import dies_with_us
from tests.support.ports import reserve_port
from tests.support.waiting import wait_until, wait_until_sync

from toril import App, JobInfo

READ = (
    "TORIL_", "REDIS_", "MEDIA_", "S3_", "SMS_", "TELEGRAM_", "EMAIL_", "STORAGE_", "DATABASE_",
    "VAPID_", "PUSH_",
)  # fmt: skip
"""What examples read: none of it may come from whoever runs the tests."""


@dataclass(kw_only=True)
class ExampleSite:
    """What runs, and what a test does with it."""

    EXAMPLE: ClassVar[str]
    """Its package."""
    SLOTS: ClassVar[str]
    """How many jobs a worker runs at once."""

    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def store_url(self) -> str:
        """Where the jobs are."""
        return self.environment.get("REDIS_URL") or self.environment["TORIL_URL"]

    def ports(self) -> Mapping[str, str]:
        """Return the variables of its ports, which it keeps when it is started again."""
        self.port = self.port or reserve_port()
        return {"PORT": str(self.port)}

    def start_api(self) -> None:
        """Start the API, and wait until it answers."""
        self._start("api", ["-m", self.EXAMPLE, "api"], self.ports())

        def answers() -> bool:
            self._check("api")
            try:
                return httpx2.get(f"{self.url}/api/toril/health", timeout=5).status_code == 200
            except httpx2.HTTPError:
                return False

        wait_until_sync(answers, deadline_s=START_S, what=f"the API of {self.EXAMPLE}")

    def start_worker(self, name: str = "worker", *more: str) -> None:
        """Start a worker, and wait until it works."""
        before = self._starts(name)
        self._start(name, ["-m", "toril", "worker", self.EXAMPLE, "-c", self.SLOTS, *more], {})

        def works() -> bool:
            self._check(name)
            return self._starts(name) > before

        wait_until_sync(works, deadline_s=START_S, what=f"{name} to start")

    def stop(self, name: str) -> None:
        """End a process in order."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(40)

    def kill(self, name: str) -> None:
        """Kill a process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        """Kill all processes."""
        for name in list(self.processes):
            self.kill(name)

    def log(self, name: str = "worker") -> str:
        """Return what a process has written."""
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8") if path.exists() else ""

    async def job(self, app: App, queue: str, job_id: str) -> JobInfo:
        """Return what is known of a job, once it has ended."""
        job = app.queue(queue).job(job_id)

        async def ended() -> bool:
            return (await job.info()).state in ("completed", "failed")

        await wait_until(ended, what=f"job {job_id} of {queue} to end; {self.log()[-3000:]}")
        return await job.info()

    def _start(self, name: str, command: list[str], more: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [*dies_with_us(), sys.executable, *command],
                cwd=self.folder,
                env={**inherited(*READ), **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _starts(self, name: str) -> int:
        return len(re.findall(r"worker \S+ started", self.log(name)))

    def _check(self, name: str) -> None:
        code = self.processes[name].poll()
        assert code is None, f"{name} ended with {code}: {self.log(name)[-3000:]}"
