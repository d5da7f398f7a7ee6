"""Does media work in child processes, which can be killed: an encoder cannot be stopped otherwise.

A child that has made an image waits for the next one, as starting one costs a third of a second.
One that has made a video is not used again, nor is one whose order was cancelled, took too long or
too much memory: it is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

from toril.core.errors import MissingExtraError, TorilError
from toril.services.media.child_words import (
    Ending,
    Failed,
    ImageDone,
    Made,
    Missing,
    Order,
    ProcessVideo,
    Progressed,
    Refused,
    RenderImage,
    Said,
    TooMuchMemory,
    VideoDone,
    line_of,
    said_of,
)
from toril.services.media.video_port import MIB, MadeVideo, Report
from toril.services.unusable import UnusableInputError, named

_PROGRAM = "import sys; sys.path[:] = {path!r}; from toril.services.media.child import main; main()"
_READ_BYTES = 65_536


class MediaChildError(TorilError):
    """A child process died, or an error of the machine stopped it. Trying again may help."""


class MediaChildren:
    """Child processes for media work. Safe to share between event loops.

    Parameters:
        max_idle: How many children wait for more work. Default: 4.
    """

    def __init__(self, *, max_idle: int = 4) -> None:
        self._max_idle = max_idle
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._closed = False

    async def render(self, order: RenderImage, *, timeout_s: float, report: Report) -> list[Made]:
        """Make renditions of an image.

        Parameters:
            order: What to make.
            timeout_s: After so many seconds the child is killed.
            report: Told how far it is, on this event loop.

        Returns:
            What was made, in the order of the specs.

        Raises:
            UnusableInputError: This image will never work, or takes too long or too much memory.
            MissingExtraError: Pillow is not installed.
            MediaChildError: The child died, or the disk failed it.
        """
        ending = await self._run(order, "image", timeout_s, report)
        assert isinstance(ending, ImageDone)  # noqa: S101 - what is said to such an order
        return ending.made

    async def process(self, order: ProcessVideo, *, timeout_s: float, report: Report) -> MadeVideo:
        """Make a smaller video; parameters and errors are those of `render`, PyAV's in place."""
        ending = await self._run(order, "video", timeout_s, report)
        assert isinstance(ending, VideoDone)  # noqa: S101 - what is said to such an order
        return ending.made

    async def _run(self, order: Order, kind: str, timeout_s: float, report: Report) -> Ending:
        child = self._taken()
        try:
            async with asyncio.timeout(timeout_s) as limit:
                ending = await child.do(order, report)
        except BaseException as error:
            await child.kill()
            if isinstance(error, TimeoutError) and limit.expired():
                reason = f"it takes longer than the {timeout_s:g} s that are allowed (timeout_s)"
                raise UnusableInputError(named(kind, order.name), reason) from None
            raise
        if isinstance(ending, TooMuchMemory):
            await child.kill()
            allowed = order.limits.max_memory_bytes // MIB
            reason = f"it takes more memory than the {allowed:,} MiB that are allowed"
            raise UnusableInputError(named(kind, order.name), f"{reason} (max_memory_bytes)")
        if isinstance(order, RenderImage):
            await self._give_back(child)
        else:  # what a video leaves of its memory must not count against the next one
            await child.kill()
        match ending:
            case Refused(subject, reason):
                raise UnusableInputError(subject, reason)
            case Missing(message):
                raise MissingExtraError(message)
            case Failed(message):
                raise MediaChildError(f"{named(kind, order.name)}: {message}")
            case _:
                return ending

    async def close(self) -> None:
        """End the children that wait. Those at work end with their orders."""
        self._closed = True
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            await child.kill()

    def _taken(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.is_alive:
                    return child
                child.bury()
        return _Child()

    async def _give_back(self, child: _Child) -> None:
        with self._lock:
            keep = len(self._idle) < self._max_idle and not self._closed
            if keep:
                self._idle.append(child)
        if not keep:
            await child.kill()


class _Child:
    """One child process, as its parent sees it."""

    def __init__(self) -> None:
        program = _PROGRAM.format(path=sys.path)
        # A session of its own: Ctrl+C in a terminal is for the worker, which lets its jobs finish.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._buffer = b""

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def do(self, order: Order, report: Report) -> Ending:
        """Give the child an order and return what came of it."""
        orders = _pipe(self._process.stdin)
        try:
            orders.write(line_of(order))
            orders.flush()
        except BrokenPipeError:
            raise MediaChildError(f"the child process that was to do it {self._death()}") from None
        while True:
            said = await self._next()
            if not isinstance(said, Progressed):
                return said
            report(said.percent)

    async def kill(self) -> None:
        """End the child, and wait until it has: what it wrote may be removed then."""
        self._process.kill()
        try:
            while await self._read():
                pass
        finally:
            self.bury()

    def bury(self) -> None:
        """Let go of a child that has ended, or is about to."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # an order that it did not live to read
                _pipe(pipe).close()
        self._process.wait()

    async def _next(self) -> Said:
        while b"\n" not in self._buffer:
            more = await self._read()
            if not more:
                raise MediaChildError(f"the child process that worked on it {self._death()}")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return said_of(line)

    async def _read(self) -> bytes:
        """Return what the child said next, however little; nothing at its end."""
        loop = asyncio.get_running_loop()
        pipe = _pipe(self._process.stdout)
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pipe.fileno(), _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(pipe.fileno())
        return os.read(pipe.fileno(), _READ_BYTES)

    def _death(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended by itself with exit code {code}"


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - both were asked for
    return pipe
