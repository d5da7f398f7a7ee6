"""The older relatives of BullMQ 6 on Node, from npm: Bull 4 and BullMQ 5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from tests.support.bullmq import INTEROP, BullMQ
from tests.support.node import Node, node_binary, node_modules


class BullMQ5(Node):
    """A Node process with BullMQ 5.58, which can be asked for what the present one can."""

    language: ClassVar[str] = "Node with BullMQ 5"

    @classmethod
    def command(cls) -> Sequence[str]:
        return [*super().command(), "bullmq5"]

    async def add_buffer(self, queue: str, name: str, field: str, text: str) -> str:
        """Add a job whose one field is a Buffer, beside one that is undefined."""
        job = await self.ask("addBuffer", queue=queue, job=name, field=field, text=text, options={})
        return str(job["id"])


class Bull4(BullMQ):
    """A Node process with Bull 4, whose workers serve jobs without a name of their own.

    `worker(name=…)` is the job name that it serves; other options are Bull's `settings`:
    `lockDuration`, `stalledInterval`, `guardInterval`.
    """

    language: ClassVar[str] = "Node with Bull 4"

    @classmethod
    def command(cls) -> Sequence[str]:
        node_modules()
        return [node_binary(), str(INTEROP / "driver_bull4.mjs")]

    async def version(self) -> str:
        """Return the version of Bull."""
        return str(await self.ask("version"))

    async def add(self, queue: str, name: str, data: Any = None, **options: Any) -> str:
        """Add a job and return its id; `__default__` is a job without a name."""
        data = {} if data is None else data
        named = [] if name == "__default__" else [name]
        return str((await self.call(queue, "add", *named, data, options))["id"])

    async def add_bulk(
        self, queue: str, jobs: Iterable[tuple[str, Any, dict[str, Any]]]
    ) -> list[str]:
        """Add jobs (name, data, options) and return their ids."""
        rows = [{"name": name, "data": data, "opts": options} for name, data, options in jobs]
        return [str(job["id"]) for job in await self.call(queue, "addBulk", rows)]

    async def state(self, queue: str, job_id: str) -> str:
        return str(await self.call_job(queue, job_id, "getState"))

    async def add_buffer(self, queue: str, field: str, text: str) -> str:
        """Add a job whose one field is a Buffer, beside one that is undefined."""
        job = await self.ask("addBuffer", queue=queue, field=field, text=text, options={})
        return str(job["id"])
