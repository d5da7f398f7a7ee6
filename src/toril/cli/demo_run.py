"""The demo's work: photographs become jobs, a real worker runs them on all cores."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from toril.app import App
from toril.cli.demo_folder import DemoFolder, Photo
from toril.engine.hooks import HookEvent
from toril.engine.worker import Worker
from toril.library.images.payloads import MediaResult
from toril.library.images.settings import MediaSettings
from toril.library.images.tasks import images
from toril.settings import Settings

QUEUE = "media-processing"
TASK = "process-upload"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one photograph."""

    photo: Photo
    job_id: str | None
    """None: it could not even be read."""
    bytes_in: int
    result: MediaResult | None
    reason: str | None
    """Why it failed."""

    @property
    def bytes_out(self) -> int:
        """Size of all its variants."""
        return sum(variant.bytes for variant in self.result.variants) if self.result else 0


class DemoRun:
    """One run over some photographs."""

    def __init__(
        self,
        folder: DemoFolder,
        *,
        entity_type: str,
        processes: int,
        told: Callable[[Fate], None],
    ) -> None:
        """Make a run.

        Parameters:
            folder: Where everything goes.
            entity_type: Which sizes to make.
            processes: Photographs at once, each in a process of its own.
            told: Called with the fate of each photograph, as it becomes known.
        """
        self._folder = folder
        self._entity_type = entity_type
        self._processes = processes
        self._told = told
        # More than the worker takes at once, and no more copies on the disk than that.
        self._room = asyncio.Semaphore(4 * processes + 4)
        self._waiting: dict[str, tuple[Photo, int]] = {}
        self._early: dict[str, HookEvent] = {}
        self.fates: list[Fate] = []
        self.duration_s = 0.0
        self.interrupted = False

    async def run(self, photos: list[Photo]) -> None:
        """Put all through, and return when the worker has ended.

        Raises:
            OSError: The disk is full, or refuses.
            BackendError: The store does.
        """
        app = App(self._folder.url, settings=Settings())
        app.include(images)
        app.provide(self._folder.settings, MediaSettings)
        app.on("completed")(self._hear)
        app.on("failed")(self._hear)
        async with app:
            worker = app.worker(queues=[QUEUE], concurrency=self._processes, shutdown=0)
            self._stop_on_signals(worker)
            working = asyncio.create_task(worker.run())
            started_s = time.monotonic()
            adding = asyncio.create_task(self._add_all(app, photos))
            try:
                await asyncio.wait([working, adding], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.duration_s = time.monotonic() - started_s
                adding.cancel()
                worker.stop()
                await asyncio.wait([working, adding])
            for task in (working, adding):
                if not task.cancelled():
                    task.result()  # raises what ended it

    async def _add_all(self, app: App, photos: list[Photo]) -> None:
        """Add a job for each photograph, and return when the last is done."""
        task = app.find_task(TASK, QUEUE)
        for photo in photos:
            await self._room.acquire()
            try:
                name, size = await asyncio.to_thread(self._folder.upload, photo)
            except PermissionError as error:
                self._settle(Fate(photo, None, 0, None, f"cannot be read: {error.strerror}"))
                continue
            job = await task.enqueue(
                entity_type=self._entity_type,
                temp_path=name,
                original_filename=photo.path.name,
                media_id=photo.media_id,
            )
            self._waiting[job.id] = (photo, size)
            if job.id in self._early:
                self._hear(self._early.pop(job.id))
        while len(self.fates) < len(photos):
            await self._room.acquire()

    def _hear(self, event: HookEvent) -> None:
        job_id = event.job_id or ""
        if job_id not in self._waiting:  # its producer has not heard of it yet
            self._early[job_id] = event
            return
        photo, size = self._waiting.pop(job_id)
        result, reason = None, event.reason
        if event.result is not None:
            result, reason = msgspec.json.decode(event.result, type=MediaResult), None
        self._settle(Fate(photo, job_id, size, result, reason))

    def _settle(self, fate: Fate) -> None:
        self.fates.append(fate)
        self._told(fate)
        self._room.release()

    def _stop_on_signals(self, worker: Worker) -> None:
        def stop() -> None:
            self.interrupted = True
            worker.stop()  # nothing is worth waiting for: whoever is interrupted begins anew

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop)


def cores() -> int:
    """Return how many processes this one may keep busy."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
